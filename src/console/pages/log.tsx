/** The admin log: who did what, and why. */
import { read } from "../data/call.ts";
import { useLive } from "../data/live.ts";
import { route } from "../data/route.ts";
import { Empty, Id, Reading, When, Words } from "../parts/bits.tsx";
import { Page } from "../parts/shell.tsx";
import { Pager, Table } from "../parts/table.tsx";

export function Log() {
  const cursor = route.value.query.get("cursor");
  const path = `/v1/admin/log?limit=50${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
  const live = useLive(path, (signal) => read<"listAdminLog">(path, signal), 10_000);
  const { data } = live.state.value;
  return (
    <Page title="Admin log" lead="Every act of an operator, newest first." command="mooring api list-admin-log">
      <Reading of={live.state.value} />
      {data !== null && (
        <section class="card rows" aria-label="Acts">
          {data.data.length === 0 ? (
            <Empty title="No operator has done anything yet." />
          ) : (
            <Table heads={["When", "Who", "What", "To", "Why", "Came of it"]}>
              {data.data.map((each) => (
                <tr key={each.sequence}>
                  <td>
                    <When at={each.at} />
                  </td>
                  <td data-label="By">{each.actor}</td>
                  <td>
                    <b>{each.action}</b>
                  </td>
                  <td class={each.target === "" ? "blank" : ""}>
                    <Target of={each.target} action={each.action} />
                  </td>
                  <td data-label="Why" class={each.reason === "" ? "blank" : ""}>
                    {each.reason}
                  </td>
                  <td class="small" data-label="Came of it">
                    <Words of={each.outcome} />
                  </td>
                </tr>
              ))}
            </Table>
          )}
          <Pager next={data.next_cursor} />
        </section>
      )}
    </Page>
  );
}

const pages: Readonly<Record<string, string>> = {
  session: "sessions",
  container: "containers",
  audit: "audits",
  key: "keys",
};

/** Linked to the page of what the act was about. A key's target begins with its tenant. */
function Target({ of, action }: { readonly of: string; readonly action: string }) {
  const page = pages[action.split(".")[0] ?? ""];
  return page === undefined ? (
    <code>{of}</code>
  ) : of === "" ? null : (
    <Id of={of} href={`/console/${page}/${of.split("/")[0]}`} />
  );
}
