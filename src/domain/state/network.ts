/** What a session's sandbox may reach, as it is stored in the open: the secrets of injected headers are sealed elsewhere. */

export type NetworkMode = "open" | "closed" | "allow";

export interface SessionNetwork {
  readonly mode: NetworkMode;
  readonly allow: readonly string[];
  readonly inject: readonly { readonly host: string; readonly header: string }[];
  /** Counts the changes, so that an old confirmation is not taken for one of the newest. */
  readonly version: number;
  readonly state: "applied" | "pending" | "partial";
}

/** Requests that were refused since the last look. */
export interface DeniedHost {
  readonly host: string;
  readonly count: number;
}
