// X.509 (RFC 5280) by @peculiar/x509 on WebCrypto: the cluster's own authority, and requests for its certificates.
import "reflect-metadata";
import { createHash, createPrivateKey, randomBytes, webcrypto } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { BerthError } from "@berth/errors";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { makeSecretDirectory, writeSecret } from "./files.ts";
import { backdatedMs, type Identity, identityUri } from "./uri.ts";

cryptoProvider.set(webcrypto as never);

/** P-256 with SHA-256: every TLS peer has it, and a handshake costs a tenth of RSA's. */
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** A new authority means that every host joins anew. */
const authorityYears = 20;
/** More than any request of ours. */
const maxRequestLength = 4096;

export interface CertificateRequest {
  keyPem: string;
  /** PKCS #10 (RFC 2986), which proves that the asker has the key. */
  requestPem: string;
}

/** A new key and a request for its certificate. What the certificate will say is the authority's decision. */
export async function createRequest(commonName: string): Promise<CertificateRequest> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [commonName] }],
    keys,
    signingAlgorithm: algorithm,
  });
  return { keyPem: await pemOfKey(keys.privateKey), requestPem: `${request.toString("pem")}\n` };
}

export interface Issued {
  certificatePem: string;
  /** ms since the epoch */
  issuedAt: number;
  /** ms since the epoch */
  expiresAt: number;
}

/** The key that vouches for every other, in a directory of its own. */
export class CertificateAuthority {
  readonly cluster: string;
  readonly certificatePem: string;
  readonly #certificate: X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(cluster: string, certificatePem: string, key: webcrypto.CryptoKey) {
    this.cluster = cluster;
    this.certificatePem = certificatePem;
    this.#certificate = new X509Certificate(certificatePem);
    this.#key = key;
  }

  /** Makes the authority, and the cluster's name, at the first time. The key is written last: with it, everything is there. */
  static async open(directory: string): Promise<CertificateAuthority> {
    const paths = pathsIn(directory);
    if (!existsSync(paths.key)) await create(directory);
    const key = createPrivateKey(readFileSync(paths.key, "utf8"));
    const usable = key.toCryptoKey(algorithm, false, ["sign"]) as webcrypto.CryptoKey;
    return new CertificateAuthority(
      readFileSync(paths.cluster, "utf8").trim(),
      readFileSync(paths.certificate, "utf8"),
      usable,
    );
  }

  static exists(directory: string): boolean {
    return existsSync(pathsIn(directory).key);
  }

  /**
   * `address`: a host's address or name for the certificate as well, for peers that know no more of each other than that.
   * @throws INVALID_ARGUMENT for what is no request, or one whose key is another's or of another kind
   */
  async issue(
    requestPem: string,
    identity: Identity,
    commonName: string,
    ttlMs: number,
    address?: string,
  ): Promise<Issued> {
    const request = await readRequest(requestPem);
    const issuedAt = Date.now();
    const expiresAt = issuedAt + ttlMs;
    const certificate = await X509CertificateGenerator.create({
      serialNumber: randomSerial(),
      subject: [{ CN: [commonName] }],
      issuer: this.#certificate.subjectName,
      notBefore: new Date(issuedAt - backdatedMs),
      notAfter: new Date(expiresAt),
      signingAlgorithm: algorithm,
      publicKey: request.publicKey,
      signingKey: this.#key,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth], true),
        new SubjectAlternativeNameExtension([
          { type: "url", value: identityUri(identity) },
          ...(address === undefined
            ? []
            : [{ type: isIP(address) ? ("ip" as const) : ("dns" as const), value: address }]),
        ]),
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
        await SubjectKeyIdentifierExtension.create(request.publicKey),
      ],
    });
    return { certificatePem: `${certificate.toString("pem")}\n`, issuedAt, expiresAt };
  }
}

/** SHA-256 of a certificate, base64url: what a token pins. */
export const fingerprintOf = (certificate: Uint8Array): string =>
  createHash("sha256").update(certificate).digest("base64url");

export const derOf = (certificatePem: string): Buffer => Buffer.from(new X509Certificate(certificatePem).rawData);

function pathsIn(directory: string) {
  return {
    cluster: join(directory, "cluster"),
    certificate: join(directory, "ca.pem"),
    key: join(directory, "ca-key.pem"),
  };
}

async function create(directory: string): Promise<void> {
  makeSecretDirectory(directory);
  const paths = pathsIn(directory);
  const cluster = randomBytes(8).toString("hex");
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const notAfter = new Date();
  notAfter.setFullYear(notAfter.getFullYear() + authorityYears);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: [{ O: ["Berth"] }, { CN: [`Berth cluster ${cluster}`] }],
    notBefore: new Date(Date.now() - backdatedMs),
    notAfter,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  writeSecret(paths.cluster, `${cluster}\n`);
  writeSecret(paths.certificate, `${certificate.toString("pem")}\n`);
  writeSecret(paths.key, await pemOfKey(keys.privateKey));
}

async function readRequest(pem: string): Promise<Pkcs10CertificateRequest> {
  if (pem.length > maxRequestLength) throw invalid(`is longer than ${maxRequestLength} characters`);
  let request: Pkcs10CertificateRequest;
  try {
    request = new Pkcs10CertificateRequest(pem);
  } catch {
    throw invalid("can't be read");
  }
  const { name, namedCurve } = request.publicKey.algorithm as { name?: string; namedCurve?: string };
  if (name !== "ECDSA" || namedCurve !== "P-256") throw invalid("is for a key that is not ECDSA on P-256");
  const proven = await request.verify().catch(() => false);
  if (!proven) throw invalid("is not signed by its own key");
  return request;
}

const invalid = (what: string) => new BerthError("INVALID_ARGUMENT", `a request for a certificate ${what}`);

async function pemOfKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

/** Positive, of 127 bits at most (RFC 5280, section 4.1.2.2). */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes.toString("hex");
}
