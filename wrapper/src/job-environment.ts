/** What a process that this instance starts for its session finds in its environment. */
import type { WrapperBoot } from "../../src/protocol/wrapper.ts";
import { baseEnvironment, markedEnvironment } from "./marked-environment.ts";
import { version } from "./version.ts";

export function jobEnvironment(boot: WrapperBoot, own: Readonly<Record<string, string>>): Record<string, string> {
  const marks = { sessionId: boot.session_id, instanceId: boot.instance_id, generation: boot.generation };
  return markedEnvironment(marks, "job", version, { ...baseEnvironment(process.env), ...boot.env, ...own });
}
