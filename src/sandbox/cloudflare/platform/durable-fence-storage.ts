/** The fence's storage over the object's own. */
import type { FenceStorage } from "./container-platform.ts";

export function durableFenceStorage(storage: DurableObjectStorage): FenceStorage {
  return {
    get: (key) => storage.kv.get(key),
    put: (key, value) => storage.kv.put(key, value),
    sync: () => storage.sync(),
    setAlarm: (at) => storage.setAlarm(at),
    wipe: () => storage.deleteAll(),
  };
}
