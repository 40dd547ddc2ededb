/** Snapshots of the tenant: which are kept, from which session, how large they are, and how far a deletion is. */
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { read } from "../data/call.ts";
import { sizeOf } from "../data/files.ts";
import { useLive } from "../data/live.ts";
import { route } from "../data/route.ts";
import { Chip, Empty, Id, Reading, When } from "../parts/bits.tsx";
import { Page } from "../parts/shell.tsx";
import { BeginButton, DeleteButton, nameOf, type Snapshot } from "../parts/snapshot-acts.tsx";
import { number, Pager, Table, unseen } from "../parts/table.tsx";
import type { Tone } from "../words/states.ts";

const pageSize = 50;
const tones: Readonly<Record<Snapshot["status"], Tone>> = {
  taking: "busy",
  ready: "good",
  deleting: "warn",
  deleted: "quiet",
};

export function Snapshots() {
  const cursor = route.value.query.get("cursor") ?? "";
  const query = new URLSearchParams({ limit: String(pageSize), ...(cursor === "" ? {} : { cursor }) });
  const live = useLive(
    `snapshots ${cursor}`,
    (signal) => read<"listSnapshots">(`/v1/snapshots?${query.toString()}`, signal),
    5_000,
  );
  const { data } = live.state.value;
  return (
    <Page
      title="Snapshots"
      lead="Files of sessions, kept under a name. They outlive their session, and any number of sessions can begin with them."
      command="mooring snapshots list"
    >
      <Reading of={live.state.value} lines={4} />
      {data !== null && (
        <section class="card rows" aria-label="Snapshots">
          {data.data.length === 0 ? (
            <Empty title={cursor === "" ? "There is none yet." : "There are no older ones."}>
              Open a <a href="/console/sessions">session</a> and choose More, then Snapshot.
            </Empty>
          ) : (
            <Rows page={data} refresh={live.refresh} />
          )}
          <Pager next={data.next_cursor} />
        </section>
      )}
    </Page>
  );
}

function Rows({ page, refresh }: { readonly page: AnswerOf<"listSnapshots">; readonly refresh: () => void }) {
  return (
    <Table scrolls heads={["Name", "Status", number("Size"), "Taken", "From", unseen("Acts")]}>
      {page.data.map((each) => (
        <tr key={each.id}>
          <td>
            <b>{nameOf(each)}</b>
            {each.name !== null && (
              <div class="small faint">
                <Id of={each.id} />
              </div>
            )}
          </td>
          <td>
            <Chip tone={tones[each.status]}>{each.status}</Chip>
            {each.failure !== null && <div class="small">{each.failure}</div>}
            {each.deletion?.last_error != null && (
              <div class="small">
                {each.deletion.attempts} {each.deletion.attempts === 1 ? "try" : "tries"}: {each.deletion.last_error}
              </div>
            )}
          </td>
          <td class="number" data-label="Size">
            {each.size_bytes === null ? "–" : sizeOf(each.size_bytes)}
          </td>
          <td data-label="Taken">
            <When at={each.created_at} />
          </td>
          <td data-label="From">
            <Id of={each.session_id} href={`/console/sessions/${each.session_id}`} />
          </td>
          <td class="buttons">
            {each.status === "ready" && (
              <>
                <BeginButton snapshot={each} /> <DeleteButton snapshot={each} onDone={refresh} />
              </>
            )}
          </td>
        </tr>
      ))}
    </Table>
  );
}
