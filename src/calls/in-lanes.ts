/**
 * `work` for each item, at most `lanes` under way at once; the answers in the order of the items. The first throw ends the waiting
 * and is thrown; no further item of that lane begins.
 */
export async function inLanes<Item, Answer>(
  items: readonly Item[],
  lanes: number,
  work: (item: Item, index: number) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = [];
  // All lanes share one iterator, so each takes the next item that no other lane has taken.
  const queue = items.entries();
  const lane = async () => {
    for (const [index, item] of queue) answers[index] = await work(item, index);
  };
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
  return answers;
}
