/** Runs measures one after the other. A measure that fails costs its own figures only. */
import { styleText } from "node:util";
import type { FailedMeasure, Figure, Measure, Size } from "./figure.ts";

export interface Measured {
  readonly figures: readonly Figure[];
  readonly failed: readonly FailedMeasure[];
}

export async function runMeasures(
  chosen: readonly Measure[],
  size: Size,
  print: (line: string) => void,
): Promise<Measured> {
  const figures: Figure[] = [];
  const failed: FailedMeasure[] = [];
  for (const [index, measure] of chosen.entries()) {
    print(styleText("bold", `${index + 1}/${chosen.length} ${measure.name}`));
    try {
      figures.push(...(await measure.run((text) => print(styleText("dim", `   ${text}`)), size)));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      failed.push({ name: measure.name, why });
      print(styleText("red", `   ${why}`));
    }
  }
  return { figures, failed };
}
