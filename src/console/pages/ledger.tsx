/**
 * The ledger: every sandbox that was granted is open, proven gone, or gone on an operator's word. One bar for all, then
 * one row for each tenant.
 */
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { read } from "../data/call.ts";
import { sizeOf } from "../data/files.ts";
import { useLive } from "../data/live.ts";
import { Chip, Empty, Reading } from "../parts/bits.tsx";
import { Page } from "../parts/shell.tsx";
import { number, Table } from "../parts/table.tsx";

type Ledger = AnswerOf<"getLedger">;
type Counts = Ledger["total"];

export function LedgerPage() {
  const live = useLive("ledger", (signal) => read<"getLedger">("/v1/admin/ledger", signal), 10_000);
  const { data } = live.state.value;
  return (
    <Page
      title="Ledger"
      command="mooring api get-ledger"
      lead="Every sandbox that was ever granted is somewhere in here."
    >
      <Reading of={live.state.value} />
      {data !== null && (
        <>
          <section class={`card ledger ${data.balanced ? "" : "off"}`} aria-label="All tenants">
            <header>
              <h2>{data.total.granted} granted</h2>
              <Chip tone={data.balanced ? "good" : "bad"}>{data.balanced ? "balanced" : "does not balance"}</Chip>
            </header>
            <div class="body">
              <Bar counts={data.total} />
              <p class="small faint">
                The global cap is {data.global.limit}; {data.global.booked} are booked for tenants, {data.total.used}{" "}
                used. Snapshots that tenants keep: {data.total.snapshots.count}, {sizeOf(data.total.snapshots.bytes)}.
              </p>
            </div>
          </section>
          {data.tenants.length === 0 ? <Empty title="No tenant has come yet." /> : <Tenants ledger={data} />}
        </>
      )}
    </Page>
  );
}

function partsOf(counts: Counts) {
  const { open, released, asserted } = counts;
  return [
    {
      name: "starting",
      count: open.reserved + open.launching,
      tone: "s-launching",
      href: "/console/sessions?status=provisioning",
    },
    { name: "held", count: open.held, tone: "s-held", href: "/console/sessions?q=phase:held" },
    { name: "stopping", count: open.stopping, tone: "s-stopping", href: "/console/sessions?q=phase:stopping" },
    { name: "proven gone", count: released.proven, tone: "s-gone", href: "/console/sessions?q=phase:closed" },
    { name: "never launched", count: released.cancelled, tone: "s-none", href: "/console/sessions?status=failed" },
    { name: "gone on an operator's word", count: asserted, tone: "s-asserted", href: "/console/log" },
  ] as const;
}

function Bar({ counts }: { readonly counts: Counts }) {
  const parts = partsOf(counts);
  const sum = parts.reduce((total, { count }) => total + count, 0);
  const missing = counts.granted - sum;
  let x = 0;
  const whole = Math.max(1, counts.granted, sum);
  return (
    <>
      <svg
        class="ledger-bar"
        viewBox="0 0 1000 34"
        preserveAspectRatio="none"
        role="img"
        aria-label={parts.map(({ name, count }) => `${name} ${count}`).join(", ")}
      >
        {parts.map(({ name, count, tone }) => {
          const width = (count / whole) * 1_000;
          const from = x;
          x += width;
          return <rect key={name} class={tone} x={from} y={0} width={width} height={34} />;
        })}
        {missing > 0 && <rect class="s-missing" x={x} y={0} width={(missing / whole) * 1_000} height={34} />}
      </svg>
      <ul class="ledger-parts">
        {parts.map(({ name, count, tone, href }) => (
          <li key={name} class={tone}>
            <a href={href}>
              <b>{count}</b> {name}
            </a>
          </li>
        ))}
        {missing !== 0 && (
          <li class="s-missing">
            <b>{missing}</b> nowhere
          </li>
        )}
      </ul>
    </>
  );
}

function Tenants({ ledger }: { readonly ledger: Ledger }) {
  return (
    <section class="card" aria-label="Tenants">
      <Table
        heads={[
          "Tenant",
          number("Granted"),
          number("Starting"),
          number("Held"),
          number("Stopping"),
          number("Proven"),
          number("Asserted"),
          number("Snapshots"),
          "Books",
        ]}
      >
        {ledger.tenants.map((each) => (
          <tr key={each.tenant}>
            <td>
              <a href={`/console/sessions?q=tenant:${each.tenant}`}>{each.tenant}</a>
            </td>
            <td class="number">{each.granted}</td>
            <td class="number">{each.open.reserved + each.open.launching}</td>
            <td class="number">{each.open.held}</td>
            <td class="number">{each.open.stopping}</td>
            <td class="number">{each.released.proven}</td>
            <td class="number">{each.asserted}</td>
            <td class="number">
              {each.snapshots.count === 0 ? "–" : `${each.snapshots.count}, ${sizeOf(each.snapshots.bytes)}`}
            </td>
            <td>
              {each.imbalances.length === 0 ? <Chip tone="good">balanced</Chip> : <Chip tone="bad">off</Chip>}
              {each.imbalances.map((words) => (
                <div key={words} class="small">
                  {words}
                </div>
              ))}
            </td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
