/** Checks signed receipts in the browser, with the code that an auditor runs: src/receipts/verify.ts. */
import { useSignal } from "@preact/signals";
import type { AnswerOf } from "../../protocol/contracts/contract-types.ts";
import type { ProblemBody } from "../../protocol/problem.ts";
import { problemIn, read } from "../data/call.ts";
import { save } from "../data/files.ts";
import { Problem } from "./bits.tsx";

interface Checked {
  readonly receipts: readonly unknown[];
  readonly unsigned: number;
  readonly keys: readonly string[];
  readonly faults: readonly { readonly receipt: number; readonly code: string; readonly detail: string }[];
}

/** `path`: the route of a session's signed receipts. */
export function Verify({ path, id }: { readonly path: string; readonly id: string }) {
  const checked = useSignal<Checked | null>(null);
  const problem = useSignal<ProblemBody | null>(null);
  const busy = useSignal(false);
  async function check(): Promise<void> {
    busy.value = true;
    problem.value = null;
    try {
      const [{ data, unsigned }, { keys }] = await Promise.all([
        read<"getSessionReceipts">(path),
        read<"getReceiptKeys">("/.well-known/mooring-keys"),
      ]);
      checked.value = await checkedBy(data, unsigned, keys);
    } catch (error) {
      problem.value = problemIn(error);
    }
    busy.value = false;
  }
  const { value } = checked;
  return (
    <section class="card noprint" aria-label="Verification">
      <header>
        <h2>Signed receipts</h2>
        <span class="actions">
          {value !== null && value.receipts.length > 0 && (
            <button
              type="button"
              onClick={() =>
                save(
                  new Blob([JSON.stringify({ data: value.receipts }, null, 2)], { type: "application/json" }),
                  `receipts-${id}.json`,
                )
              }
            >
              Download
            </button>
          )}
          <button type="button" class="primary" disabled={busy.value} onClick={() => void check()}>
            {busy.value ? "Checking …" : "Verify"}
          </button>
        </span>
      </header>
      <div class="body" role="status">
        {problem.value !== null && <Problem problem={problem.value} />}
        {value === null ? (
          <p class="faint small">
            Checked here, in this browser: the hash of each statement, and its signature by a key of this Mooring.
            Nothing is taken from the server's word but the keys.
          </p>
        ) : (
          <Verdict of={value} />
        )}
      </div>
    </section>
  );
}

function Verdict({ of: { receipts, unsigned, keys, faults } }: { readonly of: Checked }) {
  const waiting = unsigned > 0 && (
    <p class="note warn">
      {unsigned} {unsigned === 1 ? "is" : "are"} proven gone and not signed yet: that takes a moment, or the operator
      has set no signing key.
    </p>
  );
  if (receipts.length === 0) return waiting !== false ? waiting : <p class="note warn">There is none to check.</p>;
  return (
    <>
      {faults.length === 0 ? (
        <p class="note good">
          <b>Verified.</b> {receipts.length === 1 ? "The receipt is" : `All ${receipts.length} receipts are`} as signed
          by <code>{keys.join(", ")}</code>.
        </p>
      ) : (
        faults.map(({ receipt, code, detail }) => (
          <p key={`${receipt} ${code}`} class="note bad">
            <b>Receipt {receipt + 1}:</b> {detail}
          </p>
        ))
      )}
      {waiting}
    </>
  );
}

type Receipts = AnswerOf<"getSessionReceipts">["data"];

/** One session's receipts are only a part of the tenant's chain, so gaps between them mean nothing. */
async function checkedBy(
  receipts: Receipts,
  unsigned: number,
  keys: AnswerOf<"getReceiptKeys">["keys"],
): Promise<Checked> {
  const { verifyReceipts } = await import("../../receipts/verify.ts");
  const { faults } = await verifyReceipts(receipts, keys, { linked: false });
  return { receipts, unsigned, faults, keys: [...new Set(receipts.map(({ key_id }) => key_id))] };
}
