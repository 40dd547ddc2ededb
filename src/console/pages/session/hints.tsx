/** Hints on what figures and log lines probably mean: what was seen, and what to do about it. */
interface Hint {
  readonly code: string;
  readonly detail: string;
  readonly next: string;
}

export function Hints({ hints }: { readonly hints: readonly Hint[] }) {
  return (
    <>
      {hints.map((hint) => (
        <div key={hint.code} class="note warn">
          <strong>{hint.code.replaceAll("_", " ")}.</strong> {hint.detail} {hint.next}
        </div>
      ))}
    </>
  );
}
