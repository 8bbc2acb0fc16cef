// Runs tests of the page's pure parts, in a browser (index.html) or in Node (`node tests/run.js`).

const tests = [];

/** Adds a test: `run` throws if it fails. */
export function test(name, run) {
  tests.push({ name, run });
}

/** Throws unless both are the same as JSON. */
export function equal(found, expected) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`found ${a}, expected ${b}`);
}

/** Throws unless `run` throws. */
export function throws(run) {
  try {
    run();
  } catch {
    return;
  }
  throw new Error('it did not throw');
}

/** Runs all: `{passed, failed: [line]}`. */
export async function runAll() {
  const failed = [];
  for (const { name, run } of tests) {
    try {
      await run();
    } catch (error) {
      failed.push(`${name}: ${error.message}`);
    }
  }
  return { passed: tests.length - failed.length, failed };
}
