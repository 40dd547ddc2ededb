/** Turns the pages of a list by the `cursor` in the address. Hidden when everything is on one page. */
import { route, setQuery } from "../data/route.ts";

export function Pager({ next }: { readonly next: string | null }) {
  const isFirst = (route.value.query.get("cursor") ?? "") === "";
  if (next === null && isFirst) return null;
  return (
    <div class="pager">
      <button type="button" disabled={isFirst} onClick={() => history.back()}>
        Newer
      </button>
      <button type="button" disabled={next === null} onClick={() => setQuery({ cursor: next }, "push")}>
        Older
      </button>
    </div>
  );
}
