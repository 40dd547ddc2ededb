/**
 * The environment that marks every process of an instance. The instance secret is never in it.
 * A file of its own because the guardian reads it, and stays small only without a schema library.
 */
export const markers = {
  session: "MOORING_SESSION_ID",
  instance: "MOORING_INSTANCE_ID",
  generation: "MOORING_GENERATION",
  version: "MOORING_VERSION",
  role: "MOORING_ROLE",
} as const;
export type MarkerRole = "guardian" | "wrapper" | "job";
