/** What the layers of maintenance did: how each layer fares, and its last runs. */
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import { Chip, When } from "../parts/bits.tsx";
import { number, Table } from "../parts/table.tsx";
import { plain } from "../words/states.ts";

export function Layers({ runs }: { readonly runs: AnswerOf<"listCleanupRuns"> }) {
  return (
    <section class="card" aria-label="Layers of maintenance">
      <header>
        <h2>Layers of maintenance</h2>
      </header>
      <ul class="lines">
        {runs.layers.length === 0 && (
          <li class="faint">None has run yet. They run by the clock, from the first tenant on.</li>
        )}
        {runs.layers.map((layer) => (
          <li key={layer.layer}>
            <b>{plain(layer.layer)}</b>{" "}
            {layer.last_outcome !== null && (
              <Chip tone={layer.last_outcome === "ok" ? "good" : layer.last_outcome === "partial" ? "warn" : "bad"}>
                {layer.last_outcome}
              </Chip>
            )}{" "}
            <span class="small faint">
              <When at={layer.last_started_at} />
              {layer.success_rate !== null && `, ${Math.round(layer.success_rate * 100)} % of its last runs ok`}
              {layer.failures_in_row > 0 && `, ${layer.failures_in_row} failures in a row`}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Runs({ runs }: { readonly runs: AnswerOf<"listCleanupRuns"> }) {
  if (runs.data.length === 0) return null;
  return (
    <section class="card" aria-label="Last runs">
      <header>
        <h2>Last runs</h2>
      </header>
      <Table
        scrolls
        heads={["Layer", "When", "By", "Outcome", number("Found"), number("Done"), number("Skipped"), number("Failed")]}
      >
        {runs.data.map((run) => (
          <tr key={run.id}>
            <td>{plain(run.layer)}</td>
            <td>
              <When at={run.started_at} />
            </td>
            <td>
              {run.by} <span class="small faint">{run.reason}</span>
            </td>
            <td>{run.outcome ?? "under way"}</td>
            <td class="number">{run.found}</td>
            <td class="number">{run.done}</td>
            <td class="number">{run.skipped}</td>
            <td class="number">{run.failed}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
