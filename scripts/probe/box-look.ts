/** What one look at a container of the probe came to. */
export interface BoxLook {
  readonly running: boolean;
  readonly inspected: { readonly labels: Record<string, string> } | null;
  /** What a request to port 8080 came to. */
  readonly port: string;
}

/** What a start came to, and how long it took to the end of a first command. */
export interface BoxTiming {
  readonly came: string;
  readonly ms: number;
}
