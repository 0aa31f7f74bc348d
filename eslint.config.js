import js from '@eslint/js'
import tseslint from 'typescript-eslint'

// Import directions are dependency-cruiser's job alone; here: types, promises, and who may print or exit.
export default tseslint.config(
  {ignores: ['dist/**', 'coverage/**', '.bench/**', '*.config.js', '*.cjs']},
  js.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {parserOptions: {project: ['tsconfig.test.json'], tsconfigRootDir: import.meta.dirname}},
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', {considerDefaultExhaustiveForUnions: true}],
      '@typescript-eslint/restrict-template-expressions': ['error', {allowNumber: true}],
      'no-console': 'error',
    },
  },
  {
    files: ['src/lib/**/*.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        {object: 'process', property: 'exit', message: 'Throw an error; only the shell exits.'},
      ],
    },
  },
  {files: ['bin/**', 'scripts/*.js', 'test/helpers/*.js'], ...tseslint.configs.disableTypeChecked},
  {
    files: ['bin/**', 'scripts/*.js', 'test/helpers/*.js'],
    languageOptions: {globals: {process: 'readonly', URL: 'readonly'}},
  },
)
