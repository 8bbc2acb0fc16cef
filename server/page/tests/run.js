// For Node, where it is: `node server/page/tests/run.js`. In a browser index.html does the same.

import './all.js';
import { runAll } from './harness.js';

const { passed, failed } = await runAll();
for (const line of failed) console.error(line);
console.log(`${passed} passed, ${failed.length} failed`);
globalThis.process?.exit(failed.length > 0 ? 1 : 0);
