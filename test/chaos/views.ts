/** Sessions as their clients read them, all at once. One that does not answer is left out. */
import { type SessionView, sessionView } from "../../src/protocol/resources/session/sessions.ts";
import type { TrackedSession } from "./tracked-session.ts";
import type { World } from "./world.ts";

export async function readAll(
  world: World,
  sessions: readonly TrackedSession[] = world.sessions,
): Promise<Map<TrackedSession, SessionView>> {
  const views = new Map<TrackedSession, SessionView>();
  await Promise.all(
    sessions.map(async (session) => {
      if (session.id === null) return;
      const answer = await world.client.ask("GET", `/v1/sessions/${session.id}`, sessionView);
      if (answer.type === "value") views.set(session, answer.value);
    }),
  );
  return views;
}
