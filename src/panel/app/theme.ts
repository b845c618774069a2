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

/**
 * Mantine's grey for secondary text is too light on white, its red for errors too dark on black, and what it writes in a colour
 * on a tint of it too pale.
 */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#5c646c',
    '--mantine-color-placeholder': '#6b737b',
    '--mantine-color-error': '#c92a2a',
    '--mantine-color-teal-light-color': '#066649',
    '--mantine-color-red-light-color': '#b02525',
    '--mantine-color-orange-light-color': '#963900',
    '--mantine-color-yellow-light-color': '#764800',
    '--mantine-color-blue-light-color': '#15599a',
  },
  dark: {
    '--mantine-color-dimmed': '#a6adb4',
    '--mantine-color-placeholder': '#9aa1a8',
    '--mantine-color-error': '#ff8787',
    '--mantine-color-teal-light-color': '#63e6be',
    '--mantine-color-red-light-color': '#ffa8a8',
    '--mantine-color-orange-light-color': '#ffc078',
    '--mantine-color-yellow-light-color': '#ffe066',
    '--mantine-color-blue-light-color': '#a5d8ff',
  },
});
