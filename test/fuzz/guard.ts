/**
 * The guard: a source transform that makes silent mistakes of typed arrays loud, and counts which edges were taken.
 *
 *     hot[record + Hot.state]          hot[$readAt(hot, record + Hot.state, 'src/dataplane/flow/flow-table.ts:141')]
 *     hot[at] |= bits                  hot[$writeAt(hot, at, …)] |= $stored(hot, bits, …)
 *     hot.fill(0, from, to)            $range(hot, 'fill', …, 0, from, to)
 *     if (a) b();                      if (a) { $edges[7]++; b(); } else { $edges[8]++; }
 *
 * Only the index is wrapped, so the access itself, and with it every assignment operator, stays as it was. The array's
 * expression is written twice for that: it may consist of names only. Where the transform cannot guard, it throws: a
 * hole in the guard would be as silent as what it looks for.
 */
import ts from 'typescript';

/** Names by which guarded code knows guard-runtime.ts. */
export const guardNames = ['edges', 'readAt', 'writeAt', 'stored', 'range'] as const;

/** Methods of typed arrays that take ranges; `copyWithin` is refused, as nothing uses it. */
const rangeMethods = new Set(['fill', 'set', 'subarray', 'slice']);

export interface Guarded {
  readonly code: string;
  /** Edges in use: this file's are those from `firstEdge` up to before here. */
  readonly nextEdge: number;
}

/**
 * Compiles a source file to guarded JavaScript.
 *
 * @param file as errors will name it, @param runtime module specifier of the compiled guard-runtime.ts
 */
export function guard(source: string, file: string, runtime: string, firstEdge: number): Guarded {
  let nextEdge = firstEdge;
  const newEdge = (): number => nextEdge++;
  const { outputText, diagnostics } = ts.transpileModule(source, {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
    transformers: {
      before: [
        (context) => (sourceFile) =>
          new FileGuard(context, sourceFile, file, newEdge).guarded(runtime),
      ],
    },
  });
  if (diagnostics !== undefined && diagnostics.length > 0) {
    const [first] = diagnostics;
    throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(first!.messageText, '\n')}`);
  }
  return { code: outputText, nextEdge };
}

/** One file on its way through the transform. */
class FileGuard {
  readonly #context: ts.TransformationContext;
  readonly #factory: ts.NodeFactory;
  readonly #sourceFile: ts.SourceFile;
  readonly #file: string;
  readonly #newEdge: () => number;
  /** Element accesses that stand where something is stored. */
  readonly #targets: Set<ts.Node> = new Set();

  constructor(
    context: ts.TransformationContext,
    sourceFile: ts.SourceFile,
    file: string,
    newEdge: () => number,
  ) {
    this.#context = context;
    this.#factory = context.factory;
    this.#sourceFile = sourceFile;
    this.#file = file;
    this.#newEdge = newEdge;
  }

  guarded(runtime: string): ts.SourceFile {
    const f = this.#factory;
    const statements = this.#sourceFile.statements.map((each) => this.#visit(each) as ts.Statement);
    const names = guardNames.map((name) =>
      f.createImportSpecifier(false, f.createIdentifier(name), f.createIdentifier(`$${name}`)),
    );
    const clause = f.createImportClause(undefined, undefined, f.createNamedImports(names));
    const imported = f.createImportDeclaration(
      undefined,
      clause,
      f.createStringLiteral(runtime),
      undefined,
    );
    return f.updateSourceFile(this.#sourceFile, [imported, ...statements]);
  }

  #visit = (node: ts.Node): ts.Node => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node)) return node;
    this.#noteTargets(node);
    if (ts.isElementAccessExpression(node)) return this.#elementAccess(node);
    if (ts.isBinaryExpression(node)) return this.#binary(node);
    if (ts.isCallExpression(node)) return this.#call(node);
    return this.#withEdges(ts.visitEachChild(node, this.#visit, this.#context));
  };

  #expression(node: ts.Expression): ts.Expression {
    return this.#visit(node) as ts.Expression;
  }

  /** Finds out what a statement or an expression stores into, before its parts are visited. */
  #noteTargets(node: ts.Node): void {
    if (ts.isBinaryExpression(node) && isAssignment(node.operatorToken.kind)) {
      const target = unwrapped(node.left);
      if (ts.isArrayLiteralExpression(target) || ts.isObjectLiteralExpression(target)) {
        throw this.#error(node, 'an assignment to a pattern cannot be guarded');
      }
      this.#targets.add(target);
    } else if (
      (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) &&
      (node.operator === ts.SyntaxKind.PlusPlusToken ||
        node.operator === ts.SyntaxKind.MinusMinusToken)
    ) {
      this.#targets.add(unwrapped(node.operand));
    }
  }

  #elementAccess(node: ts.ElementAccessExpression): ts.Expression {
    const f = this.#factory;
    // `new Uint8Array(…)[0]`: the one thing that is not a name, and is made once, when the module is loaded.
    if (ts.isNewExpression(node.expression)) return node;
    this.#mustBeNames(node.expression);
    if (node.questionDotToken !== undefined) throw this.#error(node, 'a?.[i] cannot be guarded');
    const array = this.#expression(node.expression);
    const index = this.#expression(node.argumentExpression);
    const check = this.#targets.has(node) ? 'writeAt' : 'readAt';
    const checked = this.#runtimeCall(check, node, array, index);
    return f.updateElementAccessExpression(node, array, checked);
  }

  /** Assignments have the stored value checked; the right-hand sides of logical operators are edges. */
  #binary(node: ts.BinaryExpression): ts.Expression {
    const f = this.#factory;
    const target = unwrapped(node.left);
    const left = this.#expression(node.left);
    let right = this.#expression(node.right);
    const kind = node.operatorToken.kind;
    if (isAssignment(kind) && ts.isElementAccessExpression(target)) {
      right = this.#runtimeCall('stored', node, this.#expression(target.expression), right);
    } else if (
      kind === ts.SyntaxKind.AmpersandAmpersandToken ||
      kind === ts.SyntaxKind.BarBarToken ||
      kind === ts.SyntaxKind.QuestionQuestionToken
    ) {
      right = this.#counted(right);
    }
    return f.updateBinaryExpression(node, left, node.operatorToken, right);
  }

  #call(node: ts.CallExpression): ts.Node {
    const callee = node.expression;
    const method = ts.isPropertyAccessExpression(callee) ? callee.name.text : '';
    if (method === 'copyWithin') throw this.#error(node, 'copyWithin is not guarded');
    if (!ts.isPropertyAccessExpression(callee) || !rangeMethods.has(method)) {
      return ts.visitEachChild(node, this.#visit, this.#context);
    }
    const f = this.#factory;
    return f.createCallExpression(f.createIdentifier('$range'), undefined, [
      this.#expression(callee.expression),
      f.createStringLiteral(method),
      f.createStringLiteral(this.#place(node)),
      ...node.arguments.map((each) => this.#expression(each)),
    ]);
  }

  #runtimeCall(
    name: (typeof guardNames)[number],
    node: ts.Node,
    array: ts.Expression,
    value: ts.Expression,
  ): ts.Expression {
    const f = this.#factory;
    const place = f.createStringLiteral(this.#place(node));
    return f.createCallExpression(f.createIdentifier(`$${name}`), undefined, [array, value, place]);
  }

  /** Counts an edge wherever control flow comes from more than one place. */
  #withEdges(node: ts.Node): ts.Node {
    const f = this.#factory;
    if (ts.isIfStatement(node)) {
      const otherwise = node.elseStatement ?? f.createBlock([]);
      const then = this.#block(node.thenStatement);
      return f.updateIfStatement(node, node.expression, then, this.#block(otherwise));
    }
    if (ts.isConditionalExpression(node)) {
      return f.updateConditionalExpression(
        node,
        node.condition,
        node.questionToken,
        this.#counted(node.whenTrue),
        node.colonToken,
        this.#counted(node.whenFalse),
      );
    }
    if (ts.isCaseClause(node)) {
      return f.updateCaseClause(node, node.expression, [this.#count(), ...node.statements]);
    }
    if (ts.isDefaultClause(node)) {
      return f.updateDefaultClause(node, [this.#count(), ...node.statements]);
    }
    if (ts.isBlock(node) && isBodyOf(node)) {
      return f.updateBlock(node, [this.#count(), ...node.statements]);
    }
    return node;
  }

  #block(statement: ts.Statement): ts.Block {
    const statements = ts.isBlock(statement) ? statement.statements : [statement];
    return this.#factory.createBlock([this.#count(), ...statements], true);
  }

  #edge(): ts.Expression {
    const f = this.#factory;
    const edge = f.createElementAccessExpression(f.createIdentifier('$edges'), this.#newEdge());
    return f.createPostfixIncrement(edge);
  }

  #count(): ts.Statement {
    return this.#factory.createExpressionStatement(this.#edge());
  }

  #counted(value: ts.Expression): ts.Expression {
    const f = this.#factory;
    return f.createParenthesizedExpression(f.createComma(this.#edge(), value));
  }

  /** The expression is evaluated again by the guard: it must neither do nor cost anything. */
  #mustBeNames(node: ts.Expression): void {
    if (ts.isIdentifier(node) || node.kind === ts.SyntaxKind.ThisKeyword) return;
    if (ts.isPropertyAccessExpression(node) || ts.isNonNullExpression(node)) {
      this.#mustBeNames(node.expression);
      return;
    }
    if (ts.isElementAccessExpression(node)) {
      this.#mustBeNames(node.expression);
      this.#mustBeNames(node.argumentExpression);
      return;
    }
    throw this.#error(node, 'give the array a name, so that the guard can check its index');
  }

  #place(node: ts.Node): string {
    const { line } = this.#sourceFile.getLineAndCharacterOfPosition(node.getStart());
    return `${this.#file}:${line + 1}`;
  }

  #error(node: ts.Node, message: string): Error {
    return new Error(`${this.#place(node)}: ${message}`);
  }
}

function isAssignment(kind: ts.SyntaxKind): boolean {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment;
}

/** What is behind `!`, `as` and parentheses. */
function unwrapped(node: ts.Expression): ts.Expression {
  let inner = node;
  while (
    ts.isNonNullExpression(inner) ||
    ts.isParenthesizedExpression(inner) ||
    ts.isAsExpression(inner)
  ) {
    inner = inner.expression;
  }
  return inner;
}

/** Bodies of functions and loops; those of `if` have their edges from {@link FileGuard}. */
function isBodyOf(block: ts.Block): boolean {
  const parent = ts.getOriginalNode(block).parent as ts.Node | undefined;
  return (
    parent !== undefined && (ts.isFunctionLike(parent) || ts.isIterationStatement(parent, false))
  );
}
