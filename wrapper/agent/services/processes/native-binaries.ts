/** By platform and processor: compressed with brotli, in base64. Filled in by scripts/builds/build-wrapper.ts; empty outside of a bundle. */
export const nativeBinaries: Readonly<Record<string, string>> = {};
