declare const MOORING_BUILD_VERSION: string | undefined;

/** Put in by scripts/builds/build-wrapper.ts from package.json; `0.0.0-source` when run without a build. */
export const version = typeof MOORING_BUILD_VERSION === "undefined" ? "0.0.0-source" : MOORING_BUILD_VERSION;
