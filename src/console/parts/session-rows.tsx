/** The rows of the list of sessions: a table with keyboard control, and cards on a phone. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { now } from "../data/clock.ts";
import type { Row } from "../data/session-list.ts";
import { go } from "../data/route.ts";
import { number, Table } from "./table.tsx";
import { plain } from "../words/states.ts";
import { duration, utc } from "../words/time.ts";
import { Chip, Status, When } from "./bits.tsx";
import { isTyping } from "./shortcuts.tsx";

type Marks = Signal<ReadonlySet<string>>;

export function SessionRows({
  rows,
  operator,
  marks,
}: {
  readonly rows: readonly Row[];
  readonly operator: boolean;
  readonly marks: Marks;
}) {
  const cursor = useSignal(-1);
  useEffect(() => {
    function onKey(event: KeyboardEvent): void {
      if (isTyping(event)) return;
      const row = rows[cursor.value];
      if (event.key === "j" || event.key === "k") {
        const next = cursor.value + (event.key === "j" ? 1 : -1);
        cursor.value = Math.min(rows.length - 1, Math.max(0, next));
        document.getElementById(`row-${rows[cursor.value]?.id}`)?.scrollIntoView({ block: "nearest" });
      } else if (event.key === "x" && row !== undefined) toggle(marks, row.id);
      else if (event.key === "Enter" && row !== undefined && !(event.target instanceof HTMLAnchorElement))
        go(`/console/sessions/${row.id}`);
      else if (event.key === "Escape") marks.value = new Set();
      else return;
      event.preventDefault();
    }
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [rows]);

  const all = rows.length > 0 && rows.every(({ id }) => marks.value.has(id));
  return (
    <Table
      heads={[
        {
          of: (
            <input
              type="checkbox"
              aria-label="Mark all on this page"
              checked={all}
              onChange={() => (marks.value = all ? new Set() : new Set(rows.map(({ id }) => id)))}
            />
          ),
        },
        "Session",
        "Status",
        operator && "Tenant",
        "What",
        "Age",
        "Next clock",
        operator && number("Jobs"),
      ]}
    >
      {rows.map((row, index) => (
        <tr
          key={row.id}
          id={`row-${row.id}`}
          class={cursor.value === index ? "cursor" : ""}
          aria-selected={marks.value.has(row.id)}
        >
          <td class="mark">
            <input
              type="checkbox"
              aria-label={`Mark ${row.id}`}
              checked={marks.value.has(row.id)}
              onChange={() => toggle(marks, row.id)}
            />
          </td>
          <td>
            <a class="id" href={`/console/sessions/${row.id}`}>
              {row.id}
            </a>
          </td>
          <td>
            <Status status={row.status} /> <Trouble row={row} />
          </td>
          {operator && <td data-label="Tenant">{row.tenant}</td>}
          <What row={row} />
          <td data-label="Created">
            <When at={row.createdAt} />
          </td>
          <td data-label="Next clock" class={row.expiresAt === null ? "blank" : ""}>
            <Clock at={row.expiresAt} />
          </td>
          {operator && (
            <td data-label="Jobs" class={`number ${row.activeJobs === 0 ? "blank" : ""}`}>
              {row.activeJobs === 0 ? <span class="faint">–</span> : row.activeJobs}
            </td>
          )}
        </tr>
      ))}
    </Table>
  );
}

function toggle(marks: Marks, id: string): void {
  const next = new Set(marks.value);
  if (!next.delete(id)) next.add(id);
  marks.value = next;
}

function Trouble({ row }: { readonly row: Row }) {
  if (row.blocked !== null) return <Chip tone="bad">{plain(row.blocked)}</Chip>;
  if (row.stuckSince !== null) return <Chip tone="warn">stuck</Chip>;
  return row.critical ? <Chip tone="quiet">critical</Chip> : null;
}

function What({ row }: { readonly row: Row }) {
  const labels = Object.entries(row.labels);
  // `base` is every provider's default template, so it is not shown (src/domain/state/template.ts).
  const template = row.template === null || row.template === "base" ? null : `template:${row.template}`;
  const named = [row.agentType, row.taskId, template].filter((each) => each !== null);
  return (
    <td
      class={`what ${labels.length + named.length === 0 && row.reason === null && row.lastError === null ? "blank" : ""}`}
    >
      {named.length > 0 && <span>{named.join(" · ")} </span>}
      {labels.slice(0, 4).map(([name, value]) => (
        <span key={name} class="tag">
          {name}={value}
        </span>
      ))}
      {labels.length > 4 && <span class="faint small"> and {labels.length - 4} more</span>}
      {row.reason !== null && <div class="why">ended: {plain(row.reason)}</div>}
      {row.lastError !== null && (
        <div class="why" title={row.lastError}>
          {row.lastError.slice(0, 140)}
        </div>
      )}
    </td>
  );
}

function Clock({ at }: { readonly at: string | null }) {
  if (at === null) return <span class="faint">–</span>;
  const left = Date.parse(at) - now.value;
  return (
    <time dateTime={at} title={utc(at)} class={left < 60_000 ? "bad-text" : ""}>
      {left < 0 ? `due ${duration(-left)} ago` : `in ${duration(left)}`}
    </time>
  );
}
