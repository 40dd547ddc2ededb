/**
 * Shows its content only if the reader is signed in as the session's tenant and the session runs; otherwise says what
 * is missing.
 */
import type { ComponentChildren } from "preact";
import type { Subject } from "../../../data/session.ts";
import { Empty } from "../../../parts/bits.tsx";
import { statusWords } from "../../../words/states.ts";

/** `what`: the subject of the sentence, such as "Files". */
export function OnlyOwn({
  subject,
  what,
  children,
}: {
  readonly subject: Subject;
  readonly what: string;
  readonly children: ComponentChildren;
}) {
  const status = subject.session?.status ?? null;
  if (!subject.own)
    return (
      <Empty title={`${what} are its tenant's.`}>
        The admin token does not open them. <a href="/console/login">Sign in with an API key</a> of the tenant as well:
        what you are signed in with stays.
      </Empty>
    );
  if (status !== "running")
    return (
      <Empty title={`${what} are there while it runs.`}>
        {status === null ? "Its record cannot be read." : statusWords[status]}{" "}
        {status === "paused" && "Resume it to see them."}
      </Empty>
    );
  return <>{children}</>;
}
