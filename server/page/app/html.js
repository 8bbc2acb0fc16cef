// Preact, its hooks and tagged templates, in one place. Text in templates is always escaped.

import { h, render, createContext, Fragment } from '../vendor/preact.js';
import htm from '../vendor/htm.js';

export { h, render, createContext, Fragment };
export { useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback } from '../vendor/hooks.js';

export const html = htm.bind(h);
