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
  /** Moments that are marked by a dashed line, in seconds since 1970. */
  readonly marks: readonly number[];
}

const height = 200;

export function TimeChart(props: TimeChartProps): ReactNode {
  const { title, times, series, format, seconds, marks } = props;
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(null);
  const marked = useRef(marks);
  const scheme = useComputedColorScheme('light');
  const tones = series.map(({ tone }) => tone).join(' ');
  useEffect(() => {
    const made = create(box.current!, {
      tones: tones.split(' '),
      format,
      seconds,
      marks: () => marked.current,
    });
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
    marked.current = marks;
    chart.current?.setData([[...times], ...series.map(({ values }) => [...values])]);
  }, [times, series, marks, scheme]);
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

interface Drawing {
  readonly tones: readonly string[];
  readonly format: (value: number) => string;
  readonly seconds: number;
  readonly marks: () => readonly number[];
}

function create(box: HTMLElement, { tones, format, seconds, marks }: Drawing): uPlot {
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
    // The half of the last label is beside the picture.
    padding: [8, 28, 0, 0],
    hooks: { draw: [(chart) => drawMarks(chart, marks(), text)] },
    scales: {
      // The newest is at the right, and the whole width is the whole past.
      x: { time: true, range: (_, __, newest) => [newest - seconds, newest] },
      y: { range: (_, __, most) => [0, niceTop(most)] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 70,
        values: (_, ticks) => ticks.map((tick) => clockOf(tick, seconds)),
      },
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

const shortSeconds = 900;

/** Without seconds where a chart is long. */
function clockOf(tick: number, seconds: number): string {
  const at = new Date(tick * 1000);
  const parts = [
    at.getHours(),
    at.getMinutes(),
    ...(seconds > shortSeconds ? [] : [at.getSeconds()]),
  ];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

function drawMarks(chart: uPlot, marks: readonly number[], color: string): void {
  const { ctx, bbox, scales } = chart;
  const { min = Infinity, max = -Infinity } = scales['x']!;
  ctx.save();
  ctx.strokeStyle = color;
  ctx.lineWidth = uPlot.pxRatio;
  ctx.setLineDash([4 * uPlot.pxRatio, 4 * uPlot.pxRatio]);
  for (const mark of marks) {
    if (mark < min || mark > max) continue;
    const x = chart.valToPos(mark, 'x', true);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** `rgb(1, 2, 3)` nearly transparent. */
function faded(color: string): string {
  return color.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.12)');
}
