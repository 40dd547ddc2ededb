/** How an end went, attempt by attempt and look by look, and the receipt as a document to print. */
import type { ComponentChildren } from "preact";
import { useLive } from "../../data/live.ts";
import { read } from "../../data/call.ts";
import type { Subject, Teardown } from "../../data/session.ts";
import { Chip, copyText, Empty, Problem, Waiting, When, Words } from "../../parts/bits.tsx";
import { Icon } from "../../parts/icon.tsx";
import { Verify } from "../../parts/verify.tsx";
import { Table } from "../../parts/table.tsx";
import { plain, type Tone } from "../../words/states.ts";
import { fineDuration, utc } from "../../words/time.ts";

const outcomeTone: Readonly<Record<string, Tone>> = {
  verified_absent: "good",
  still_present: "bad",
  unverified: "warn",
  failed: "bad",
  abandoned: "quiet",
  acting: "busy",
};
const answerTone: Readonly<Record<string, Tone>> = { absent: "good", present: "bad", unknown: "warn" };

export function TeardownCard({ teardown }: { readonly teardown: Teardown }) {
  return (
    <section class="card teardown" aria-label={`Teardown of generation ${teardown.generation}`}>
      <header>
        <h2>
          The end of <code>{teardown.sandbox_id}</code>
        </h2>
        <Standing teardown={teardown} />
      </header>
      <div class="body">
        <p>
          Because: <b>{plain(teardown.reason)}</b>, asked <When at={teardown.requested_at} />.{" "}
          {teardown.next_attempt_at !== null && (
            <>
              The next attempt is <When at={teardown.next_attempt_at} />.
            </>
          )}
        </p>
        {teardown.evidence !== null && (
          <p class="note good">
            <Words of={teardown.evidence} />
          </p>
        )}
        <Attempts teardown={teardown} />
        <Looks teardown={teardown} />
      </div>
    </section>
  );
}

function Standing({ teardown }: { readonly teardown: Teardown }) {
  if (teardown.verified_absent_at !== null)
    return (
      <span>
        <Chip tone="good">proven gone</Chip> <When at={teardown.verified_absent_at} />
      </span>
    );
  if (teardown.asserted_absent_at !== null) return <Chip tone="warn">gone on an operator's word</Chip>;
  return (
    <Chip tone={teardown.parked ? "bad" : "busy"}>
      {teardown.parked ? "parked: attempts used up" : "being stopped"}
    </Chip>
  );
}

/** `dated`: show absolute times, because a printed receipt is read later. */
function Attempts({ teardown, dated = false }: { readonly teardown: Teardown; readonly dated?: boolean }) {
  if (teardown.attempts.length === 0) return null;
  return (
    <Table kind="rows" heads={["#", "Began", "Took", "Came of it"]} caption="Stop attempts">
      {teardown.attempts.map((each) => (
        <tr key={each.attempt}>
          <td data-label="Attempt">{each.attempt}</td>
          <td class="when">{dated ? utc(each.started_at) : <When at={each.started_at} />}</td>
          <td class="when" data-label="Took">
            {each.ended_at === null ? "–" : fineDuration(Date.parse(each.ended_at) - Date.parse(each.started_at))}
          </td>
          <td>
            <Chip tone={outcomeTone[each.outcome] ?? "quiet"}>{plain(each.outcome)}</Chip>
            {each.error !== null && <div class="small faint">{each.error}</div>}
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Looks({ teardown, dated = false }: { readonly teardown: Teardown; readonly dated?: boolean }) {
  if (teardown.observations.length === 0) return null;
  return (
    <Table
      kind="rows"
      heads={["When", "Answer", "What was seen"]}
      caption={<>Looks at it, the newest {teardown.observations.length}</>}
    >
      {teardown.observations.map((each) => (
        <tr key={`${each.at} ${each.asked}`}>
          <td class="when">{dated ? utc(each.at) : <When at={each.at} />}</td>
          <td>
            <Chip tone={answerTone[each.answer] ?? "quiet"}>{each.answer}</Chip>
          </td>
          <td>
            {each.detail} <span class="small faint">asked: {each.asked}</span>
          </td>
        </tr>
      ))}
    </Table>
  );
}

export function Receipts({ subject }: { readonly subject: Subject }) {
  const usage = useLive(
    `usage ${subject.base} ${subject.etag}`,
    (signal) => read<"getUsage">(`${subject.base}/usage`, signal),
    null,
  );
  const closed = subject.teardowns.filter(({ phase }) => phase === "closed");
  const { data, problem, loading } = usage.state.value;
  if (closed.length === 0)
    return (
      <Empty title="There is no receipt yet.">
        One is written when its sandbox is proven gone: by two looks, at least a second apart, that both find nothing.
      </Empty>
    );
  return (
    <>
      {subject.own && <Verify path={`${subject.base}/receipts`} id={subject.id} />}
      {closed.map((receipt) => (
        <section
          key={receipt.generation}
          class="card receipt"
          aria-label={`Receipt of generation ${receipt.generation}`}
        >
          <header>
            <h2>Teardown receipt</h2>
            <span class="noprint actions">
              <button type="button" onClick={() => void copyText(JSON.stringify(receipt, null, 2))}>
                <Icon name="copy" /> Copy as JSON
              </button>
              <button type="button" onClick={() => window.print()}>
                <Icon name="print" /> Print
              </button>
            </span>
          </header>
          <div class="body">
            <dl class="facts wide">
              <Fact name="Session">
                <code>{receipt.session_id}</code>
              </Fact>
              <Fact name="Sandbox">
                <code>{receipt.sandbox_id}</code>, generation {receipt.generation}
              </Fact>
              <Fact name="Ended because">{plain(receipt.reason)}</Fact>
              <Fact name="Asked to end">{utc(receipt.requested_at)}</Fact>
              <Fact name="Proven gone">
                {receipt.verified_absent_at === null ? "not proven" : utc(receipt.verified_absent_at)}
              </Fact>
              {receipt.asserted_absent_at !== null && (
                <Fact name="An operator's word">{utc(receipt.asserted_absent_at)}, which is no proof</Fact>
              )}
              <Fact name="Evidence">{receipt.evidence ?? "none"}</Fact>
            </dl>
            <Attempts teardown={receipt} dated />
            <Looks teardown={receipt} dated />
            {loading && <Waiting lines={2} />}
            {problem !== null && <Problem problem={problem} />}
            {data !== null && (
              <p class="small">
                Seconds:{" "}
                {data.usage
                  .map((each) => `${plain(each.status)} ${each.seconds.toFixed(1)} (${each.provider})`)
                  .join(", ")}
                ; together {data.total_seconds.toFixed(1)}.
              </p>
            )}
          </div>
        </section>
      ))}
    </>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
