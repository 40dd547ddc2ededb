/** Why a session is as it is, in words; its clocks; its life to scale; and the settings it was created with. */
import type { ComponentChildren } from "preact";
import { now } from "../../data/clock.ts";
import { useLive } from "../../data/live.ts";
import { readEvents, type Explanation, type SessionView, type Subject, type Teardown } from "../../data/session.ts";
import { Chip, For, Id, When, Words } from "../../parts/bits.tsx";
import { plain } from "../../words/states.ts";
import { duration, utc } from "../../words/time.ts";
import { Timeline } from "./timeline.tsx";
import { TeardownCard } from "./receipt.tsx";

export function Overview({ subject }: { readonly subject: Subject; readonly refresh: () => void }) {
  const { session, explanation, teardowns, base } = subject;
  // The history changes when the session does. The ETag stands for the version of the session, so it is part of the
  // key.
  const events = useLive(
    `history ${base} ${subject.etag} ${session?.status}`,
    (signal) => readEvents(base, 0, signal),
    null,
  );
  const ends = teardowns.map((each) => <TeardownCard key={each.generation} teardown={each} />);
  // The receipts of a session that still runs are about earlier sandboxes, so they come last.
  const endsFirst = session === null || session.status !== "running";
  return (
    <>
      {explanation !== null && <Why explanation={explanation} session={session} teardown={teardowns[0]} />}
      {explanation === null && (
        <div class="note bad">
          <strong>The record of this session is {subject.record}.</strong> What can be told of it is below; it can still
          be ended and resolved.
        </div>
      )}
      <section class="card" aria-label="Timeline">
        <header>
          <h2>Its life so far</h2>
          <Legend />
        </header>
        <div class="body">
          <Timeline subject={subject} events={events.state.value.data ?? []} />
        </div>
      </section>
      {endsFirst ? ends : null}
      <div class="two">
        {explanation !== null && <Clocks explanation={explanation} />}
        {session !== null && <Facts session={session} />}
      </div>
      {endsFirst ? null : ends}
    </>
  );
}

function Why({
  explanation,
  session,
  teardown,
}: {
  readonly explanation: Explanation;
  readonly session: SessionView | null;
  /** The newest; undefined: nothing of it was ever stopped. */
  readonly teardown: Teardown | undefined;
}) {
  return (
    <section class="card why-card" aria-label="Why">
      <div class="body">
        <p class="big">
          <Words of={capital(explanation.alive)} />
        </p>
        {explanation.blocked !== null && (
          <p class="note bad">
            <strong>{capital(plain(explanation.blocked.code))}</strong> <For since={explanation.blocked.since} />.{" "}
            <Words of={explanation.blocked.says} />
          </p>
        )}
        {session?.failure != null && (
          <p class="note warn">
            <Words of={session.failure} />
          </p>
        )}
        {explanation.sandboxes.map((sandbox) => (
          <p key={sandbox.generation} class="small">
            <Chip tone={sandbox.phase === "held" ? "good" : sandbox.phase === "stopping" ? "warn" : "busy"}>
              {sandbox.ghost ? "ghost" : sandbox.phase}
            </Chip>{" "}
            <code>{sandbox.sandbox_id}</code> <Words of={sandbox.says} />
          </p>
        ))}
        <LastProof explanation={explanation} teardown={teardown} />
        {explanation.next_call !== null && !["terminated", "failed"].includes(explanation.status) && (
          <p class="small faint">
            Next: <Words of={explanation.next_call.why} />
          </p>
        )}
      </div>
    </section>
  );
}

/** When the session's sandbox was last proven to live, or to be gone. Where neither is proven it says what the last look saw. */
function LastProof({
  explanation,
  teardown,
}: {
  readonly explanation: Explanation;
  readonly teardown: Teardown | undefined;
}) {
  const held = explanation.sandboxes.find((each) => each.renewed_at !== null);
  const look = teardown?.observations.at(-1);
  if (held !== undefined)
    return (
      <p class="small">
        <b>Last proof of life</b> <When at={held.renewed_at} />: it accepted a renewal. The next is due{" "}
        <When at={held.next_renewal_at} />; without one it counts as lost <When at={held.lapses_at} />.
      </p>
    );
  if (teardown === undefined) return null;
  if (teardown.verified_absent_at !== null)
    return (
      <p class="small">
        <b>Last proof of absence</b> <When at={teardown.verified_absent_at} />: two looks found nothing of its last
        sandbox.
      </p>
    );
  return (
    <p class="small">
      <b>Last look</b>{" "}
      {look === undefined ? (
        "none yet"
      ) : (
        <>
          <When at={look.at} />: {answers[look.answer]}
        </>
      )}
      . It is not proven gone.
    </p>
  );
}

const answers = {
  present: "it was still there",
  absent: "it was not there",
  unknown: "nobody could tell",
} as const;

const clockNames: Readonly<Record<Explanation["clocks"][number]["name"], string>> = {
  end_at: "End",
  idle: "Idle",
  max_lifetime: "Lifetime",
  budget: "Budget",
  budget_warning: "Budget warning",
  ending_soon: "End warning",
  provision: "Provision",
  paused_warning: "Retention warning",
  paused_retention: "Retention",
};

function Clocks({ explanation }: { readonly explanation: Explanation }) {
  const running = explanation.clocks.filter(({ due_at }) => due_at !== null);
  const standing = explanation.clocks.filter(({ due_at }) => due_at === null);
  // Many clocks stand still for the same reason. Say it once.
  const stands = new Map<string, string[]>();
  for (const { name, says } of standing) stands.set(says, [...(stands.get(says) ?? []), clockNames[name]]);
  const sorted = running.toSorted((a, b) => (a.due_at ?? "").localeCompare(b.due_at ?? ""));
  return (
    <section class="card" aria-label="Clocks">
      <header>
        <h2>Clocks</h2>
        {explanation.next_look_at !== null && (
          <span class="small faint">
            Mooring looks again <When at={explanation.next_look_at} />
          </span>
        )}
      </header>
      <ul class="clocks">
        {sorted.map((clock) => (
          <li key={clock.name} class={clock.name === explanation.next_clock ? "next" : ""}>
            <b>{clockNames[clock.name]}</b>
            <time class="left" dateTime={clock.due_at ?? ""} title={utc(clock.due_at ?? 0)}>
              {left(clock.due_at)}
            </time>
            <span class="small">
              {capital(clock.does)}. <span class="faint">Moved by {clock.moved_by}.</span>
            </span>
          </li>
        ))}
        {[...stands].map(([says, names]) => (
          <li key={says} class="still">
            <b class="names">{names.join(", ")}</b>
            <span class="small faint">
              {names.length === 1 ? "stands" : "stand"}: {says}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function left(due: string | null): string {
  const ms = Date.parse(due ?? "") - now.value;
  return ms < 0 ? `${duration(-ms)} ago` : duration(ms);
}

/** `0.0412 of at most 2.5 USD`. */
function costOf({ cost, max_cost: most, currency }: SessionView): string {
  const spent = cost === null ? "no price" : String(Number(cost.toPrecision(3)));
  return most === null ? `${spent} ${currency}` : `${spent} of at most ${most} ${currency}`;
}

function Facts({ session }: { readonly session: SessionView }) {
  const facts: readonly (readonly [string, ComponentChildren])[] = [
    ["Created", <When key="c" at={session.created_at} />],
    ["Started", <When key="s" at={session.started_at} />],
    ["Generation", session.generation ?? "none yet"],
    [
      "Provider",
      `${session.provider}, template ${session.template}, ${session.isolation === "shared" ? "in a shared container" : "a sandbox of its own"}`,
    ],
    ...(session.container_id === null
      ? []
      : [
          [
            "Container",
            <Id key="i" of={session.container_id} href={`/console/containers/${session.container_id}`} />,
          ] as const,
        ]),
    ["Timeout", `${duration(session.timeout_seconds * 1_000)}, then ${session.on_timeout}`],
    ["Idle after", session.idle_timeout_seconds === null ? "never" : duration(session.idle_timeout_seconds * 1_000)],
    ["At most", duration(session.max_lifetime_seconds * 1_000)],
    ...(session.currency === null ? [] : [["Cost", costOf(session)] as const]),
    ...(session.last_proven_restorable_at === null
      ? []
      : [["Files proven restorable", <When key="r" at={session.last_proven_restorable_at} />] as const]),
    ["When lost", plain(session.on_loss)],
    ["Resumes by itself", session.auto_resume ? "yes" : "no"],
    ...(session.agent_type === null ? [] : [["Agent", session.agent_type] as const]),
    ...(session.task_id === null ? [] : [["Task", session.task_id] as const]),
    ...(session.critical ? [["Critical", "not ended by an emergency"] as const] : []),
    ...(session.terminate_reason === null ? [] : [["Ended because", plain(session.terminate_reason)] as const]),
    [
      "Labels",
      Object.keys(session.labels).length === 0
        ? "none"
        : Object.entries(session.labels).map(([name, value]) => (
            <a key={name} class="tag" href={`/console/sessions?q=${encodeURIComponent(`${name}=${value}`)}`}>
              {name}={value}
            </a>
          )),
    ],
  ];
  return (
    <section class="card" aria-label="Facts">
      <header>
        <h2>Made with</h2>
      </header>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Legend() {
  return (
    <ul class="legend small" aria-hidden="true">
      <li class="s-launching">starting</li>
      <li class="s-held">held</li>
      <li class="s-idle">idle</li>
      <li class="s-saving">saving</li>
      <li class="s-stopping">stopping</li>
      <li class="s-gone">proven gone</li>
    </ul>
  );
}

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
