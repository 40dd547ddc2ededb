/** What the Worker serves to browsers: the console and the docs. wrangler runs it before `dev` and `deploy` (`[build]` in wrangler.toml). */
import { buildConsole } from "./build-console.ts";
import { buildDocs } from "./build-docs.ts";

await buildConsole();
await buildDocs();
