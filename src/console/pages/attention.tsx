/**
 * The first page: what is wrong, since when, why, and the call that mends it. When nothing is wrong it shows when it
 * last looked.
 */
import { useEffect } from "preact/hooks";
import type { AttentionItem, AttentionView } from "../../protocol/resources/operator/attention.ts";
import { read } from "../data/call.ts";
import { identity } from "../data/identity.ts";
import { useLive } from "../data/live.ts";
import { now } from "../data/clock.ts";
import { Chip, Figure, Reading, When, Words } from "../parts/bits.tsx";
import { Icon } from "../parts/icon.tsx";
import { NextCallButton } from "../parts/next-call.tsx";
import { attentionCount, Page } from "../parts/shell.tsx";
import { ago } from "../words/time.ts";

export function Attention() {
  const operator = identity.value?.operator !== null;
  const live = useLive(
    `attention ${operator}`,
    (signal) =>
      operator
        ? read<"getFleetAttention">("/v1/admin/attention", signal)
        : read<"getAttention">("/v1/attention", signal),
    5_000,
  );
  const { data, at } = live.state.value;
  useEffect(() => {
    if (data !== null) attentionCount.value = data.items.length + data.left_off;
  }, [data]);
  return (
    <Page
      title="Needs attention"
      command="mooring attention"
      lead={data === null ? undefined : <Summary view={data} at={at} />}
    >
      <Reading of={live.state.value} lines={8} />
      {data !== null && (
        <>
          <Figures view={data} />
          {data.items.length === 0 ? <Calm view={data} at={at} /> : <Items view={data} onDone={live.refresh} />}
        </>
      )}
    </Page>
  );
}

function Summary({ view, at }: { readonly view: AttentionView; readonly at: number | null }) {
  const count = view.items.length + view.left_off;
  const looked = at === null ? "" : `, looked ${ago(at, now.value)}`;
  return (
    <>
      {count === 0 ? "Nothing" : `${count} ${count === 1 ? "thing" : "things"}`}
      {looked}.
    </>
  );
}

function Figures({ view }: { readonly view: AttentionView }) {
  const { sandboxes, active, sessions, stuck, overdue, balanced, cap } = view.figures;
  const operator = identity.value?.operator !== null;
  return (
    <div class="figures">
      <Figure label="Sandboxes" value={sandboxes} href={`/console/sessions${operator ? "?only=open" : ""}`}>
        {cap === null ? `${active} active` : `${active} active, cap ${cap}`}
      </Figure>
      <Figure label="Sessions" value={sessions} href="/console/sessions">
        not over
      </Figure>
      <Figure
        label="Stuck"
        value={stuck}
        tone={stuck > 0 ? "warn" : undefined}
        href={operator ? "/console/sessions?only=stuck" : undefined}
      >
        too long in one state
      </Figure>
      <Figure
        label="Overdue"
        value={overdue}
        tone={overdue > 0 ? "bad" : undefined}
        href={operator ? "/console/sessions?only=overdue" : undefined}
      >
        not proven gone in time
      </Figure>
      {operator && (
        <Figure
          label="Ledger"
          value={balanced ? "balanced" : "off"}
          tone={balanced ? "good" : "bad"}
          href="/console/ledger"
        >
          granted = open + gone
        </Figure>
      )}
    </div>
  );
}

function Calm({ view, at }: { readonly view: AttentionView; readonly at: number | null }) {
  const { sandboxes, overdue, balanced, looked_at: lookedAt } = view.figures;
  const parts = [
    `${sandboxes} ${sandboxes === 1 ? "sandbox" : "sandboxes"}`,
    `${overdue} overdue`,
    ...(identity.value?.operator === null ? [] : [balanced ? "ledger balanced" : "ledger off"]),
    ...(lookedAt === null ? [] : [`the watch looked ${ago(Date.parse(lookedAt), now.value)}`]),
    ...(at === null ? [] : [`this page ${ago(at, now.value)}`]),
  ];
  return (
    <div class="card calm">
      <Icon name="check" />
      <div>
        <strong>Nothing needs attention.</strong>
        <p>{parts.join(", ")}.</p>
      </div>
    </div>
  );
}

function Items({ view, onDone }: { readonly view: AttentionView; readonly onDone: () => void }) {
  return (
    <ol class="card items">
      {view.items.map((item) => (
        <Item key={`${item.kind} ${item.subject}`} item={item} onDone={onDone} />
      ))}
      {view.left_off > 0 && <li class="faint">And {view.left_off} more: end the first ones, then look again.</li>}
    </ol>
  );
}

function Item({ item, onDone }: { readonly item: AttentionItem; readonly onDone: () => void }) {
  return (
    <li>
      <div class="head">
        <Chip tone={item.severity === "critical" ? "bad" : "warn"}>{item.severity}</Chip>
        <strong>{item.what}</strong>
        {item.since !== null && (
          <span class="faint">
            <When at={item.since} />
          </span>
        )}
      </div>
      <div class="where small">
        <a class="id" href={item.console}>
          {item.subject}
        </a>
        {item.tenant !== null && <span class="faint"> of {item.tenant}</span>}
      </div>
      <p class="why">
        <Words of={item.why} />
      </p>
      <div class="do">
        {item.next_call !== null && (
          <NextCallButton call={item.next_call} subject={item.subject} summary={item.why} onDone={onDone} />
        )}
        <a class="button" href={item.console}>
          Look
        </a>
      </div>
    </li>
  );
}
