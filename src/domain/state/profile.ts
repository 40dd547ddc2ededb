/** What a create said of a session for others to read. */

/** Carried along, never decided on (but `critical`, by the fleet). */
export interface Profile {
  readonly labels: Readonly<Record<string, string>>;
  readonly agentType: string | null;
  readonly taskId: string | null;
  readonly critical: boolean;
  /** A new job, stdin or connect resumes a paused session; reads never do. The shell asks; the machine only resumes. */
  readonly autoResume: boolean;
  /** Anybody who knows the host name of a port reaches it. Absent: a key or a signed address is needed. */
  readonly publicPorts?: true;
  /** What servers in the sandbox get as `Host`. Absent: `localhost:<port>`. */
  readonly portHost?: string;
}
