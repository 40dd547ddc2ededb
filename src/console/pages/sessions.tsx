/** The list of sessions: search, filters, pages, selection. All of it is kept in the address. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { kebab, quoted } from "../../client/wire/command-of.ts";
import { identity } from "../data/identity.ts";
import { useLive } from "../data/live.ts";
import { listSessions, queryOf, type Row, type SessionFilter } from "../data/session-list.ts";
import { route, setQuery } from "../data/route.ts";
import { Empty, Problem, Waiting } from "../parts/bits.tsx";
import { BulkEnd } from "../parts/bulk-end.tsx";
import { Page } from "../parts/shell.tsx";
import { SessionFilters } from "../parts/session-filters.tsx";
import { SessionRows } from "../parts/session-rows.tsx";
import { TenantUsage } from "../parts/tenant-usage.tsx";

/** Rows per page: more than one screen, and still quick to read. */
const pageSize = 50;

export function Sessions() {
  const who = identity.value;
  const query = route.value.query;
  const filter: SessionFilter = {
    q: query.get("q") ?? "",
    status: query.get("status") ?? "",
    only: query.get("only") ?? "",
    cursor: query.get("cursor") ?? "",
  };
  const key = JSON.stringify([filter, who?.operator !== null]);
  const live = useLive(key, (signal) => listSessions(filter, pageSize, who?.operator !== null, signal), 5_000);
  const { data, problem, at, loading } = live.state.value;
  const marks = useSignal<ReadonlySet<string>>(new Set());
  const ending = useSignal<readonly Row[] | null>(null);
  const tenant = tenantIn(filter);
  const page = Number(query.get("page") ?? "1");

  useEffect(() => {
    marks.value = new Set();
  }, [key]);

  return (
    <Page
      title="Sessions"
      lead={
        who?.operator === null
          ? `Of the tenant ${who.tenant?.name ?? ""}, newest first.`
          : "Of all tenants, newest first."
      }
      command={commandOf(filter, who?.operator !== null)}
    >
      {(who?.operator === null || tenant !== null) && <TenantUsage tenant={who?.operator === null ? null : tenant} />}
      <SessionFilters filter={filter} operator={who?.operator !== null} />
      {problem !== null && <Problem problem={problem} stale={data === null ? null : at} />}
      <section class="card rows" aria-label="Sessions">
        {loading && data === null ? (
          <Waiting lines={9} />
        ) : data === null ? null : data.rows.length === 0 ? (
          <Nothing filter={filter} />
        ) : (
          <SessionRows rows={data.rows} operator={who?.operator !== null} marks={marks} />
        )}
        {data !== null && (data.next !== null || page > 1) && (
          <div class="pager">
            <button type="button" disabled={page <= 1} onClick={() => history.back()}>
              Newer
            </button>
            <span>Page {page}</span>
            <button
              type="button"
              disabled={data.next === null}
              onClick={() => setQuery({ cursor: data.next, page: String(page + 1) }, "push")}
            >
              Older
            </button>
          </div>
        )}
      </section>
      {data !== null && marks.value.size > 0 && (
        <div class="marked" role="region" aria-label="Marked sessions">
          <span>
            {marks.value.size} marked <span class="small">(Esc takes the marks back)</span>
          </span>
          <button
            type="button"
            class="danger primary"
            onClick={() => (ending.value = data.rows.filter(({ id }) => marks.value.has(id)))}
          >
            End {marks.value.size} …
          </button>
        </div>
      )}
      {ending.value !== null && (
        <BulkEnd
          rows={ending.value}
          operator={who?.operator !== null}
          onClose={() => {
            ending.value = null;
            marks.value = new Set();
            live.refresh();
          }}
        />
      )}
    </Page>
  );
}

function Nothing({ filter }: { readonly filter: SessionFilter }) {
  const filtered = filter.q !== "" || filter.status !== "" || filter.only !== "";
  return filtered ? (
    <Empty title="No session fits.">
      Every filter must fit at once.{" "}
      <button type="button" onClick={() => setQuery({ q: null, status: null, only: null, cursor: null, page: null })}>
        Take the filters away
      </button>
    </Empty>
  ) : (
    <Empty title="There is no session yet.">
      Create one with <code>mooring up</code>, or with the call that the <a href="/docs">docs</a> begin with.
    </Empty>
  );
}

/** The one `tenant:` that is asked for; null: there is none. */
function tenantIn({ q }: SessionFilter): string | null {
  const word = q.split(/\s+/).find((each) => each.startsWith("tenant:"));
  return word?.slice("tenant:".length) || null;
}

/** What `mooring sessions` has an option for. */
const short: ReadonlySet<string> = new Set(["tenant", "status", "template", "blocked", "stuck"]);

/** With exactly these filters: by the name of the operation where `mooring sessions` has no option for one of them. */
function commandOf(filter: SessionFilter, operator: boolean): string {
  // Labels last: as an option of `mooring api` they take every word that follows.
  const query = [...queryOf(filter, operator)]
    .map(([name, value]) => [/^label\[(.+)\]$/.exec(name)?.[1] ?? null, name, value] as const)
    .toSorted(([one], [other]) => Number(one !== null) - Number(other !== null));
  const isShort = query.every(([label, name]) => label !== null || short.has(name));
  const isOne = query.some(([, name]) => name === "tenant");
  const options = query.map(([label, name, value]) =>
    label !== null
      ? `--label ${quoted(`${label}=${value}`)}`
      : isShort && name === "stuck"
        ? "--stuck"
        : `--${kebab(name)} ${quoted(value)}`,
  );
  const list = isShort ? `sessions${operator && !isOne ? " --all" : ""}` : `api list-${operator ? "all-" : ""}sessions`;
  return ["mooring", list, ...options].join(" ");
}
