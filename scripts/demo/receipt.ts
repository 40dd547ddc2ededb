/** A teardown receipt as a table: what was tried, what was seen, when, by whom, and what that proves. */
import Table from "cli-table3";
import type { TeardownView } from "../../src/protocol/sessions.ts";
import { bad, bold, clock, dim, good } from "./stage.ts";

export function receiptTable(title: string, receipt: TeardownView): string {
  const table = new Table({ style: { head: [], border: [], compact: true }, colWidths: [22, 78], wordWrap: true });
  table.push(
    [{ colSpan: 2, content: bold(`Receipt: ${title}`) }],
    ["session", receipt.session_id],
    ["sandbox", `${receipt.sandbox_id}, generation ${receipt.generation}`],
    ["reason", `${receipt.reason}, asked ${clock(receipt.requested_at)}`],
    ["attempts", receipt.attempts.map((each) => attempt(each)).join("\n")],
    ["observations", receipt.observations.map((each) => observation(each)).join("\n")],
    ["verified absent", verified(receipt)],
    ["evidence", receipt.evidence ?? bad("none")],
  );
  return table.toString();
}

function attempt(each: TeardownView["attempts"][number]): string {
  const took =
    each.ended_at === null
      ? "never answered"
      : `${((Date.parse(each.ended_at) - Date.parse(each.started_at)) / 1_000).toFixed(2)} s`;
  const error = each.error === null ? "" : `: ${each.error}`;
  return `#${each.attempt} at ${clock(each.started_at)}, ${took}: ${each.outcome.replaceAll("_", " ")}${error}`;
}

function observation(each: TeardownView["observations"][number]): string {
  const answer = each.answer === "absent" ? good(each.answer) : each.answer;
  return `${clock(each.at)} ${answer} ${dim(`${each.asked}: ${each.detail}`)}`;
}

function verified(receipt: TeardownView): string {
  if (receipt.verified_absent_at === null) return bad("not verified");
  return good(`${clock(receipt.verified_absent_at)}, generation ${receipt.generation} retired, looked twice`);
}
