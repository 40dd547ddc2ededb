/** The admin log: who did what, and why. */
import { read } from "../data/call.ts";
import { useLive } from "../data/live.ts";
import { place } from "../data/route.ts";
import { idIn } from "../data/session-list.ts";
import { Empty, Id, Problem, Waiting, When, Words } from "../parts/bits.tsx";
import { Pager } from "../parts/pager.tsx";
import { Page } from "../parts/shell.tsx";

export function Log() {
  const cursor = place.value.query.get("cursor");
  const path = `/v1/admin/log?limit=50${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
  const live = useLive(path, (signal) => read<"listAdminLog">(path, signal), 10_000);
  const { data, problem, at, loading } = live.state.value;
  return (
    <Page title="Admin log" lead="Every act of an operator, newest first." command="mooring api list-admin-log">
      {problem !== null && <Problem problem={problem} stale={data === null ? null : at} />}
      {loading && data === null && <Waiting />}
      {data !== null && (
        <section class="card rows" aria-label="Acts">
          {data.data.length === 0 ? (
            <Empty title="No operator has done anything yet." />
          ) : (
            <div class="table">
              <table>
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">Who</th>
                    <th scope="col">What</th>
                    <th scope="col">To</th>
                    <th scope="col">Why</th>
                    <th scope="col">Came of it</th>
                  </tr>
                </thead>
                <tbody>
                  {data.data.map((each) => (
                    <tr key={each.sequence}>
                      <td>
                        <When at={each.at} />
                      </td>
                      <td>{each.actor}</td>
                      <td>
                        <b>{each.action}</b>
                      </td>
                      <td class={each.target === "" ? "blank" : ""}>
                        {idIn(each.target) === each.target ? (
                          <Id of={each.target} href={`/console/sessions/${each.target}`} />
                        ) : (
                          <code>{each.target}</code>
                        )}
                      </td>
                      <td>{each.reason}</td>
                      <td class="small">
                        <Words of={each.outcome} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
          <Pager next={data.next_cursor} />
        </section>
      )}
    </Page>
  );
}
