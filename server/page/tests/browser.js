// Shows what came of the tests: `<html data-result="passed">` or `failed`, and lines in the page.

import './all.js';
import './dialog.test.js';
import { runAll } from './harness.js';

const { passed, failed } = await runAll();
document.getElementById('result').textContent = [...failed, `${passed} passed, ${failed.length} failed`].join('\n');
document.documentElement.dataset.result = failed.length > 0 ? 'failed' : 'passed';
