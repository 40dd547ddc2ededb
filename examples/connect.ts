/** Where the examples find Mooring: MOORING_URL (that of `npm run dev`) and MOORING_KEY, which `npm run dev` prints. */
import { Mooring } from "../src/client/mooring.ts";

const key = process.env["MOORING_KEY"];
if (key === undefined) throw new Error("Set MOORING_KEY: `npm run dev` prints one.");

export const mooring = new Mooring({ url: process.env["MOORING_URL"] ?? "http://127.0.0.1:8787", key });
