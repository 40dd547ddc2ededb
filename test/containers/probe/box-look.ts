/** What one look at a container of the probe came to. */
export interface BoxLook {
  readonly running: boolean;
  readonly inspected: { readonly labels: Record<string, string> } | null;
  /** What a request to port 8080 came to. */
  readonly port: string;
}
