import { snapshotterContract } from "../contract.ts";
import { openSubject } from "../subject.ts";

snapshotterContract("the local one", () => openSubject());
