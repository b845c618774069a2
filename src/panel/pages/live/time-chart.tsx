/**
 * A time series, drawn by uPlot on a canvas. The colours are the theme's, read when it is drawn, so that dark and light
 * need no new chart. What a canvas cannot tell a screen reader stands above it as text.
 */
import { Group, Paper, Text, Title, useComputedColorScheme } from '@mantine/core';
import { useEffect, useRef } from 'react';
import type { ReactNode } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

export interface Series {
  readonly label: string;
  readonly tone: 'passed' | 'dropped' | 'flows';
  /** Beside the time; `null` leaves a gap. */
  readonly values: readonly (number | null)[];
}

export interface TimeChartProps {
  readonly title: string;
  /** Seconds since 1970, ascending. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  /** How much of the past there is room for. */
  readonly seconds: number;
}

const height = 200;

export function TimeChart({ title, times, series, format, seconds }: TimeChartProps): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(null);
  const scheme = useComputedColorScheme('light');
  const tones = series.map(({ tone }) => tone).join(' ');
  useEffect(() => {
    const made = create(box.current!, tones.split(' '), format, seconds);
    chart.current = made;
    const resized = new ResizeObserver(([entry]) => {
      if (entry !== undefined) made.setSize({ width: entry.contentRect.width, height });
    });
    resized.observe(box.current!);
    return () => {
      resized.disconnect();
      made.destroy();
      chart.current = null;
    };
    // The colours are read when a chart is made.
  }, [tones, format, seconds, scheme]);
  useEffect(() => {
    chart.current?.setData([[...times], ...series.map(({ values }) => [...values])]);
  }, [times, series, scheme]);
  return (
    <Paper withBorder p="md" radius="md" component="section" aria-label={title}>
      <Group justify="space-between" mb="xs" gap="xs">
        <Title order={2} size="h5">
          {title}
        </Title>
        <Group gap="md">
          {series.map(({ label, tone, values }) => (
            <Group key={label} gap={6} wrap="nowrap" className={`tone-${tone}`}>
              <span className="legend-mark" />
              <Text size="sm">
                {label} <b className="tabular">{textOf(values.at(-1), format)}</b>
              </Text>
            </Group>
          ))}
        </Group>
      </Group>
      <div ref={box} className="chart" aria-hidden />
    </Paper>
  );
}

function textOf(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? '–' : format(value);
}

/** The colour that a class gives to `--tone`, as the canvas wants it. */
function toneOf(box: HTMLElement, tone: string): string {
  const probe = document.createElement('span');
  probe.className = `tone-${tone} tone-probe`;
  box.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function create(
  box: HTMLElement,
  tones: readonly string[],
  format: (value: number) => string,
  seconds: number,
): uPlot {
  const style = getComputedStyle(box);
  const text = style.getPropertyValue('--mantine-color-dimmed').trim();
  const line = toneOf(box, 'grid');
  const axis = {
    stroke: text,
    font: `11px ${style.fontFamily}`,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
  };
  const options: uPlot.Options = {
    ...{ width: box.clientWidth, height },
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: {
      // The newest is at the right, and the whole width is the whole past.
      x: { time: true, range: (_, __, newest) => [newest - seconds, newest] },
      y: { range: (_, __, most) => [0, niceTop(most)] },
    },
    axes: [
      { ...axis, size: 28, space: 70, values: (_, ticks) => ticks.map(clockOf) },
      { ...axis, size: 78, space: 36, incrs: steps, values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      {},
      ...tones.map((tone) => {
        const stroke = toneOf(box, tone);
        return { stroke, width: 1.5, fill: faded(stroke), points: { show: false } };
      }),
    ],
  };
  return new uPlot(options, undefined, box);
}

/** What is counted has no halves. */
const steps = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12].flatMap((power) => [
  power,
  2 * power,
  5 * power,
]);

/** Room above the highest value, and something to draw when there is none. */
function niceTop(most: number | null): number {
  return most === null || most <= 0 ? 1 : most * 1.1;
}

function clockOf(seconds: number): string {
  const at = new Date(seconds * 1000);
  const parts = [at.getHours(), at.getMinutes(), at.getSeconds()];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

/** `rgb(1, 2, 3)` nearly transparent. */
function faded(color: string): string {
  return color.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.12)');
}
