/** The id of a container application, in what `wrangler containers list --json` wrote among its other words. null: it is not there. */
export function applicationId(listed: string, name: string): string | null {
  try {
    const from = listed.indexOf("[");
    const applications = JSON.parse(listed.slice(from, listed.lastIndexOf("]") + 1)) as readonly {
      readonly id: string;
      readonly name: string;
    }[];
    return applications.find((one) => one.name === name)?.id ?? null;
  } catch {
    return null;
  }
}
