/** How it looks: the system's fonts, one colour, and enough contrast for small text (WCAG AA). */
import { createTheme } from '@mantine/core';
import type { CSSVariablesResolver, MantineColorsTuple } from '@mantine/core';

const wall: MantineColorsTuple = [
  '#e8f7f5',
  '#d5ebe8',
  '#abd6d0',
  '#7dc0b7',
  '#57ada2',
  '#3fa295',
  '#2f9c8f',
  '#1f887c',
  '#13796e',
  '#00695f',
];

export const theme = createTheme({
  primaryColor: 'wall',
  primaryShade: { light: 8, dark: 8 },
  colors: { wall },
  defaultRadius: 'md',
  respectReducedMotion: true,
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  fontFamilyMonospace:
    'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  headings: { fontWeight: '650' },
});

/** Mantine's grey for secondary text is too light on white, its red for errors too dark on black. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#5c646c',
    '--mantine-color-placeholder': '#6b737b',
    '--mantine-color-error': '#c92a2a',
  },
  dark: {
    '--mantine-color-dimmed': '#a6adb4',
    '--mantine-color-placeholder': '#9aa1a8',
    '--mantine-color-error': '#ff8787',
  },
});
