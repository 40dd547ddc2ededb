/** The messages between the service process and the wrapper, one JSON line each on descriptor 4. */
import type { ProcessIdentity } from "../../proc/process-table.ts";

/** In the environment of the service process and of everything that it starts, as the id of their job. No job can have it: no id has a colon. */
export const serviceMark = ":services";

export const serviceLinkDescriptor = 4;

/** The first line, from the wrapper. */
export interface ServiceOrder {
  readonly workspace: string;
  /** null: the home of the user that it runs as. */
  readonly home: string | null;
  /** The environment that the session gives every process. */
  readonly env: Readonly<Record<string, string>>;
}

/** Every line from the service process. */
export type ServiceNews =
  /** How many processes and terminals count as work now. */
  | { readonly type: "active"; readonly processes: number }
  | { readonly type: "started"; readonly leader: ProcessIdentity }
  | { readonly type: "ended"; readonly leader: ProcessIdentity };
