/** The thread of a start queue (start-queue.ts): says when it listens, and serves until it is ended. */
import { parentPort, workerData } from "node:worker_threads";
import { type QueueOrder, serveQueue } from "./start-queue.ts";

serveQueue(workerData as QueueOrder).once("listening", () => parentPort?.postMessage("listening"));
