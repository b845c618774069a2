/**
 * Compiles src into dist as tsc would, with one difference: a constant of a type like `5` is written as `5`.
 *
 * Header offsets, record words, drop reasons and the like are `as const` objects, each in the module that it belongs to. V8
 * folds such a constant only within its module: through an import it loads the binding, checks the object's shape and loads
 * the property, for every `Hot.state`, each time. TypeScript's own answer, `const enum`, is not erasable syntax, and tests
 * and tools that strip types file by file could not read it. The type checker knows all of these values, so the compiler
 * writes them down, with the name in a comment beside it. Why: docs/decisions/0027-constants-inlined.md.
 */
import { join } from 'node:path';
import ts from 'typescript';

const root = join(import.meta.dirname, '..');
const configFile = join(root, 'scripts/config/tsconfig.build.json');

/** The number that an expression can only be, if it names a constant. */
function constantOf(checker: ts.TypeChecker, node: ts.Node): number | undefined {
  if (!ts.isPropertyAccessExpression(node) && !ts.isIdentifier(node)) return undefined;
  const symbol = checker.getSymbolAtLocation(node);
  if (symbol === undefined) return undefined;
  const target =
    (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
  const declaration = target.valueDeclaration;
  if (declaration === undefined || !isConstant(declaration)) return undefined;
  const type = checker.getTypeAtLocation(node);
  return type.isNumberLiteral() ? type.value : undefined;
}

/** A `const` of a module, or a property of a module's `const X = {...} as const`. */
function isConstant(declaration: ts.Declaration): boolean {
  let variable: ts.Node = declaration;
  if (ts.isPropertyAssignment(declaration)) {
    const asConst = declaration.parent.parent;
    if (!ts.isAsExpression(asConst) || !ts.isConstTypeReference(asConst.type)) return false;
    variable = asConst.parent;
  }
  if (!ts.isVariableDeclaration(variable) || !ts.isVariableDeclarationList(variable.parent))
    return false;
  return (
    (variable.parent.flags & ts.NodeFlags.Const) !== 0 &&
    ts.isSourceFile(variable.parent.parent.parent)
  );
}

/** Whether an identifier stands where a value is read: not a name that is declared, imported, exported or a key. */
function isRead(node: ts.Node): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(node)) return true;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isPropertyAssignment(parent)) return parent.initializer === node;
  if (ts.isVariableDeclaration(parent)) return parent.initializer === node;
  return ts.isExpression(parent) || ts.isStatement(parent) || ts.isTemplateSpan(parent);
}

function literal(value: number, name: string): ts.Expression {
  const number =
    value < 0
      ? ts.factory.createPrefixUnaryExpression(
          ts.SyntaxKind.MinusToken,
          ts.factory.createNumericLiteral(-value),
        )
      : ts.factory.createNumericLiteral(value);
  return ts.addSyntheticTrailingComment(number, ts.SyntaxKind.MultiLineCommentTrivia, ` ${name} `);
}

function inlineConstants(checker: ts.TypeChecker): ts.TransformerFactory<ts.SourceFile> {
  return (context) => (file) => {
    const visit = (node: ts.Node): ts.Node => {
      if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
        return node;
      }
      if (isReadable(node)) {
        const value = constantOf(checker, node);
        if (value !== undefined) return literal(value, node.getText(file));
      }
      return ts.visitEachChild(node, visit, context);
    };
    const isReadable = (node: ts.Node): boolean =>
      (ts.isPropertyAccessExpression(node) || ts.isIdentifier(node)) && isRead(node);
    return ts.visitEachChild(file, visit, context);
  };
}

function main(): number {
  const host: ts.ParseConfigFileHost = {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic(diagnostic) {
      throw new Error(ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'));
    },
  };
  const config = ts.getParsedCommandLineOfConfigFile(configFile, {}, host)!;
  const program = ts.createProgram(config.fileNames, config.options);
  const emitted = program.emit(undefined, undefined, undefined, false, {
    before: [inlineConstants(program.getTypeChecker())],
  });
  const diagnostics = [
    ...config.errors,
    ...ts.getPreEmitDiagnostics(program),
    ...emitted.diagnostics,
  ];
  if (diagnostics.length > 0) {
    console.error(
      ts.formatDiagnosticsWithColorAndContext(diagnostics, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => root,
        getNewLine: () => '\n',
      }),
    );
    return 1;
  }
  return 0;
}

process.exitCode = main();
