/**
 * The dialog for one act: what it touches, the reason for it, and the outcome. Every act that ends or changes something
 * passes through this dialog.
 */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { ProblemBody } from "../../protocol/problem.ts";
import { problemIn } from "../data/call.ts";
import { Command, Problem } from "./bits.tsx";
import { Dialog } from "./dialog.tsx";

export interface ActOrder {
  readonly title: string;
  /** What it touches, in words or as a list. */
  readonly touches: ComponentChildren;
  readonly danger: boolean;
  readonly button: string;
  /** `required`: kept with the act; `asked`: may be left empty; null: the API keeps no reason. */
  readonly reason: "required" | "asked" | null;
  /** The text that must be typed before the button works. */
  readonly typed?: string;
  readonly command: string;
  readonly run: (reason: string) => Promise<ComponentChildren>;
}

export function ActDialog({ order, onClose }: { readonly order: ActOrder; readonly onClose: (done: boolean) => void }) {
  const reason = useSignal("");
  const busy = useSignal(false);
  const problem = useSignal<ProblemBody | null>(null);
  const result = useSignal<ComponentChildren | null>(null);
  const typed = useSignal("");
  const isSure = order.typed === undefined || typed.value.trim() === order.typed;
  const ready = isSure && (order.reason !== "required" || reason.value.trim().length >= 3);

  async function run(): Promise<void> {
    busy.value = true;
    problem.value = null;
    try {
      result.value = await order.run(reason.value.trim());
    } catch (error) {
      problem.value = problemIn(error);
    }
    busy.value = false;
  }

  const close = () => onClose(result.value !== null);
  return (
    <Dialog title={order.title} onClose={close}>
      {result.value !== null ? (
        <>
          <div role="status">{result.value}</div>
          <footer>
            <button type="button" class="primary" onClick={close}>
              Close
            </button>
          </footer>
        </>
      ) : (
        <form
          class="act"
          onSubmit={(event) => {
            event.preventDefault();
            void run();
          }}
        >
          <div>{order.touches}</div>
          {order.reason !== null && (
            <div class="field">
              <label for="reason">Why{order.reason === "asked" ? " (may stay empty)" : ""}</label>
              <input
                id="reason"
                autofocus
                maxLength={500}
                required={order.reason === "required"}
                placeholder="Kept in the log: what you saw, and what you know"
                value={reason.value}
                onInput={(event) => (reason.value = event.currentTarget.value)}
              />
            </div>
          )}
          {order.typed !== undefined && (
            <div class="field">
              <label for="sure">
                Type <code>{order.typed}</code> to say that you mean this one
              </label>
              <input
                id="sure"
                autocomplete="off"
                spellcheck={false}
                value={typed.value}
                onInput={(event) => (typed.value = event.currentTarget.value)}
              />
            </div>
          )}
          {problem.value !== null && <Problem problem={problem.value} />}
          <footer>
            <Command line={order.command} />
            <span class="grow" />
            <button type="button" onClick={close}>
              Cancel
            </button>
            <button type="submit" class={order.danger ? "danger primary" : "primary"} disabled={busy.value || !ready}>
              {busy.value ? "At it …" : order.button}
            </button>
          </footer>
        </form>
      )}
    </Dialog>
  );
}
