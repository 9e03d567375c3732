// graphile-worker with the tasks that are measured, telling what tests/bench/progress.hpp tells: while it runs a line
// "<microseconds since 1970> <jobs run>" whenever that has changed, after SIGTERM what it kept as one JSON object.
//
//   node worker.mjs URL CONCURRENCY [LOCAL_QUEUE]    LOCAL_QUEUE: jobs fetched at once, and completions in batches

import { Logger, run } from "graphile-worker";

const kSampleEvery = 10; // ms

const [url, concurrency, localQueue] = process.argv.slice(2);
let ran = 0;
let told = 0;
const latencies = []; // [from the INSERT, from when it was due], microseconds

const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

function tell() {
  if (ran === told) return;
  told = ran;
  process.stdout.write(`${now()} ${told}\n`);
}

const tasks = {
  noop: () => {
    ran += 1;
  },
  latency: ({ at, due }) => {
    const begun = now();
    latencies.push([begun - at, begun - due]);
    ran += 1;
  },
};

// Each completed job would be a line.
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") process.stderr.write(`${level}: ${message}\n`);
});

const batching = localQueue
  ? { localQueue: { size: Number(localQueue) }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
  : {};
const runner = await run({
  preset: {
    worker: {
      connectionString: url,
      concurrentJobs: Number(concurrency),
      maxPoolSize: Number(concurrency) + 1,
      logger,
      ...batching,
    },
  },
  taskList: tasks,
  noHandleSignals: true,
});
setInterval(tell, kSampleEvery).unref();

process.once("SIGTERM", async () => {
  await runner.stop();
  tell();
  process.stdout.write(`${JSON.stringify({ latencies })}\n`);
});
