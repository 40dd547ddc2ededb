/** The frame of a table, and the buttons that turn its pages. The table scrolls sideways where the page is narrow, and every column has a head. */
import type { ComponentChildren } from "preact";
import { route, setQuery } from "../data/route.ts";

/** false: a column that is not shown. */
type Head = string | false | { readonly class?: "number" | "roomy"; readonly of: ComponentChildren };

/** The head of a column of numbers, which stand to the right. */
export const number = (of: string): Head => ({ class: "number", of });
/** The head of a column that a narrow page leaves out. */
export const roomy = (of: string): Head => ({ class: "roomy", of });
/** The head of a column that explains itself; only a screen reader says it. */
export const unseen = (of: string): Head => ({ of: <span class="unseen">{of}</span> });

export function Table({
  kind,
  heads,
  caption,
  scrolls,
  children,
}: {
  /** Its classes in the style sheet, beside `table`. */
  readonly kind?: "rows" | "planned-rows" | "rows planned-rows";
  readonly heads: readonly Head[];
  readonly caption?: ComponentChildren;
  /** The keyboard can reach it, to scroll it. */
  readonly scrolls?: true;
  /** A `tr` for each row. */
  readonly children: ComponentChildren;
}) {
  return (
    <div class={kind === undefined ? "table" : `table ${kind}`} tabIndex={scrolls === true ? 0 : undefined}>
      <table>
        {caption !== undefined && <caption>{caption}</caption>}
        <thead>
          <tr>
            {heads.map((head, index) => {
              if (head === false) return null;
              const { class: columns, of } = typeof head === "string" ? { class: undefined, of: head } : head;
              return (
                <th key={index} scope="col" class={columns}>
                  {of}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** Turns the pages of a list by the `cursor` in the address. Hidden when everything is on one page. */
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
