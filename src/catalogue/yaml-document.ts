/** YAML in: the one document of a catalogue file, or what is wrong with it in words that need no knowledge of the parser. */
import { parseDocument, type Document } from 'yaml';
import type { Fault } from './schema.ts';
import { CatalogueFaults } from './store.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

function refused(message: string): CatalogueFaults {
  return new CatalogueFaults([{ field: '(file)', message }]);
}

/** Throws CatalogueFaults when the bytes are not UTF-8: read as if they were, names would be stored damaged. */
export function decodeCatalogueFile(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw refused('the file is not UTF-8: save it in that encoding');
  }
}

/** Throws CatalogueFaults. */
export function parseYaml(text: string): Document {
  const document = parseDocument(text, { uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const line = error.linePos?.[0].line ?? 1;
    throw refused(
      error.code === 'MULTIPLE_DOCS'
        ? `line ${line}: a second document begins here: put everything into one, without --- or ... between`
        : error.message,
    );
  }
  // What the parser only warns of it reads as if it were not there.
  const faults = document.warnings.map(({ code, message, linePos, pos }): Fault => {
    const tag = text.slice(...pos);
    return {
      field: `line ${linePos?.[0].line ?? 1}`,
      message:
        code === 'TAG_RESOLVE_FAILED'
          ? `the tag ${tag} means nothing in a catalogue file: leave it out, or put the value in quotes`
          : message,
    };
  });
  if (faults.length > 0) throw new CatalogueFaults(faults);
  return document;
}
