// The page's other files, of the same version as this one: its address says which that is.

/** The address of a file by its path in the folder of the page. */
export function file(path) {
  return new URL(`../${path}`, import.meta.url).pathname;
}

let another = false;

/** Whether the server has been found to have another page than this one. */
export function isOutdated() {
  return another;
}

/** Asks whether the server still has the page that this is. After an upgrade it has another, and these files are gone. */
export async function askForVersion() {
  try {
    const answer = await fetch(import.meta.url, { method: 'HEAD', cache: 'no-store', credentials: 'omit' });
    another = answer.status === 404;
  } catch {
    // It cannot be asked now: nothing is known.
  }
  return another;
}
