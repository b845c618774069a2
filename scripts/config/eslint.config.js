import jsxA11y from 'eslint-plugin-jsx-a11y';
import reactHooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

const hotFolders = [
  'src/dataplane/wire/**',
  'src/dataplane/flow/**',
  'src/dataplane/match/**',
  'src/dataplane/engine/**',
];

export default tseslint.config(
  {
    ignores: [
      'dist/**',
      'native/**',
      'node_modules/**',
      '**/*.js',
      '**/*.cjs',
      'scripts/config/**',
    ],
  },
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: `${import.meta.dirname}/../..` },
    },
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      'max-lines': ['error', { max: 500 }],
      // Numbers in messages are what a firewall prints.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `typed[i]!` is how an index that is known to be in range reads under
      // noUncheckedIndexedAccess; the guarded build of the fuzzer proves the claim at run time.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
    },
  },
  {
    // The packet path: nothing that allocates, nothing from outside.
    files: hotFolders,
    rules: {
      'max-lines-per-function': ['error', { max: 90, skipComments: true, skipBlankLines: true }],
      'no-restricted-globals': [
        'error',
        ...['Date', 'performance', 'process', 'Buffer', 'setTimeout', 'crypto', 'console'].map(
          (name) => ({
            name,
            message: 'A data-plane folder takes clock and randomness as arguments.',
          }),
        ),
      ],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random' }],
      'no-restricted-syntax': [
        'error',
        { selector: 'TryStatement', message: 'No try on the packet path.' },
        { selector: 'SpreadElement', message: 'No spread on the packet path.' },
        { selector: 'NewExpression[callee.name=/^(Map|Set|WeakMap)$/]', message: 'Not hot.' },
        { selector: 'BigIntLiteral', message: 'No BigInt on the packet path.' },
      ],
    },
  },
  {
    // Straight-line code: one hash round after another.
    files: ['src/dataplane/flow/hash.ts'],
    rules: { 'max-lines-per-function': 'off' },
  },
  {
    // The panel: browsers, React, and people who cannot see it or use a mouse.
    files: ['src/panel/**'],
    extends: [reactHooks.configs.flat.recommended, jsxA11y.flatConfigs.strict],
    languageOptions: {
      parserOptions: {
        projectService: false,
        project: `${import.meta.dirname}/tsconfig.panel.json`,
      },
    },
    rules: {
      'max-lines-per-function': ['error', { max: 70, skipComments: true, skipBlankLines: true }],
      // An event handler may start something: it tells of failures itself.
      '@typescript-eslint/no-misused-promises': [
        'error',
        { checksVoidReturn: { attributes: false } },
      ],
    },
  },
  {
    // Command line output and tests print.
    files: ['src/cli/**', 'src/main.ts', 'test/**', 'bench/**', 'scripts/**'],
    rules: { 'no-console': 'off' },
  },
);
