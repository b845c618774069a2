/**
 * test/service-page.md against what has run: every sentence names tests, and each of them must have run and passed.
 *
 * A proof is a file and the title of a test or of a group of tests in it; `%s` in a title stands for anything. A title that
 * no test has, a test that was skipped and one that failed prove nothing.
 */

/**
 * Rows of the page.
 * @param {string} page
 * @returns {{ sentence: string, proofs: { file: string, title: string }[] }[]}
 */
export function rowsOf(page) {
  return page
    .split('\n')
    .filter((line) => /^\| (?!--|sentence)/.test(line))
    .map((line) => {
      const [sentence, proofs = ''] = line.slice(2).split(' | ');
      return {
        sentence,
        proofs: proofs
          .replace(/ \|$/, '')
          .split(' <br> ')
          .map(
            (proof) =>
              /^`(?<file>[^`]+)` (?<title>.+)$/.exec(proof)?.groups ?? { file: '', title: proof },
          ),
      };
    });
}

/**
 * What is not proved, as sentences.
 * @param {string} page the text of test/service-page.md
 * @param {{ file: string, titles: string[], status: string }[]} tests every test that was run or skipped; its own title and
 *   those of its groups
 * @param {(file: string) => boolean} isAbsent whether tests of this file could not run on this machine
 * @returns {string[]}
 */
export function unproved(page, tests, isAbsent) {
  return rowsOf(page).flatMap(({ sentence, proofs }) =>
    proofs.flatMap(({ file, title }) => {
      if (isAbsent(file)) return [];
      const named = matcherOf(title);
      const found = tests.filter((test) => test.file === file && test.titles.some(named));
      const failed = found.filter(({ status }) => status !== 'passed');
      if (found.length > 0 && failed.length === 0) return [];
      const why = found.length === 0 ? 'no such test has run' : `${failed[0].status}`;
      return [`"${sentence}": ${file}: ${title}: ${why}`];
    }),
  );
}

function matcherOf(title) {
  const words = title.split('%s').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(`^${words.join('.*')}$`);
  return (text) => pattern.test(text);
}
