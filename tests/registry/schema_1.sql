BEGIN TRANSACTION;
CREATE TABLE calibration (
	collection_id INTEGER NOT NULL, 
	dataset_id BLOB NOT NULL, 
	valid_begin DOUBLE NOT NULL, 
	valid_end DOUBLE NOT NULL, 
	PRIMARY KEY (collection_id, dataset_id), 
	FOREIGN KEY(collection_id) REFERENCES collection (id), 
	FOREIGN KEY(dataset_id) REFERENCES dataset (id) ON DELETE CASCADE
);
INSERT INTO "calibration" VALUES(4,X'DF6AD190D6015931BD5E071B4D030D4D',1.0,9e999);
CREATE TABLE collection (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	is_frozen BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT kind CHECK (kind IN ('RUN', 'TAGGED', 'CHAINED', 'CALIBRATION')), 
	UNIQUE (name)
);
INSERT INTO "collection" VALUES(1,'raws','RUN',0);
INSERT INTO "collection" VALUES(2,'run','RUN',0);
INSERT INTO "collection" VALUES(3,'best','TAGGED',0);
INSERT INTO "collection" VALUES(4,'calibs','CALIBRATION',0);
CREATE TABLE collection_chain (
	parent_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	child_id INTEGER NOT NULL, 
	PRIMARY KEY (parent_id, position), 
	FOREIGN KEY(parent_id) REFERENCES collection (id), 
	FOREIGN KEY(child_id) REFERENCES collection (id)
);
CREATE TABLE collection_member (
	collection_id INTEGER NOT NULL, 
	dataset_id BLOB NOT NULL, 
	PRIMARY KEY (collection_id, dataset_id), 
	FOREIGN KEY(collection_id) REFERENCES collection (id), 
	FOREIGN KEY(dataset_id) REFERENCES dataset (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "collection_member" VALUES(3,X'DF6AD190280C5CF98ABDA30AFE35964A');
CREATE TABLE dataset (
	id BLOB NOT NULL, 
	type_id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	instrument VARCHAR, 
	detector BIGINT, 
	physical_filter VARCHAR, 
	band VARCHAR, 
	exposure BIGINT, 
	visit BIGINT, 
	skymap VARCHAR, 
	tract BIGINT, 
	patch BIGINT, 
	path VARCHAR NOT NULL, 
	size BIGINT NOT NULL, 
	checksum VARCHAR NOT NULL, 
	quantum_id BLOB, 
	PRIMARY KEY (id), 
	FOREIGN KEY(type_id) REFERENCES dataset_type (id), 
	FOREIGN KEY(run_id) REFERENCES collection (id), 
	FOREIGN KEY(quantum_id) REFERENCES quantum (id)
);
INSERT INTO "dataset" VALUES(X'C3CD999A535A5307A8E578CDD80FAA7A',1,1,'st10',0,NULL,NULL,1,NULL,NULL,NULL,NULL,'/frames/1.fits',10,'blake2b:a',NULL);
INSERT INTO "dataset" VALUES(X'C3CD999AF0D45E91BA118D81C954533B',1,1,'st10',0,NULL,NULL,2,NULL,NULL,NULL,NULL,'/frames/2.fits',10,'xxh3_128:00112233445566778899aabbccddeeff',NULL);
INSERT INTO "dataset" VALUES(X'DF6AD190280C5CF98ABDA30AFE35964A',14,2,'st10',0,NULL,NULL,NULL,1,NULL,NULL,NULL,'run/visit_image/visit_image_st10_0_1.fits',10,'blake2b:0123',X'DF6AD1901C2E57C2BAD516A5D7BB1A76');
INSERT INTO "dataset" VALUES(X'DF6AD190DEF459A6894E0049A70D11D6',14,2,'st10',0,NULL,NULL,NULL,2,NULL,NULL,NULL,'elsewhere/2.fits',10,'blake2b:a',NULL);
INSERT INTO "dataset" VALUES(X'DF6AD190D6015931BD5E071B4D030D4D',5,2,'st10',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'run/dark/dark_st10_0.fits',10,'blake2b:a',NULL);
CREATE TABLE dataset_type (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	dimensions VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "dataset_type" VALUES(1,'raw','instrument,exposure,detector');
INSERT INTO "dataset_type" VALUES(2,'reference_catalog','');
INSERT INTO "dataset_type" VALUES(3,'skymap','skymap');
INSERT INTO "dataset_type" VALUES(4,'bias','instrument,detector');
INSERT INTO "dataset_type" VALUES(5,'dark','instrument,detector');
INSERT INTO "dataset_type" VALUES(6,'defects','instrument,detector');
INSERT INTO "dataset_type" VALUES(7,'flat','instrument,detector,physical_filter');
INSERT INTO "dataset_type" VALUES(8,'ptc','instrument,detector');
INSERT INTO "dataset_type" VALUES(9,'linearizer','instrument,detector');
INSERT INTO "dataset_type" VALUES(10,'crosstalk','instrument,detector');
INSERT INTO "dataset_type" VALUES(11,'bfk','instrument,detector');
INSERT INTO "dataset_type" VALUES(12,'fringe','instrument,detector,physical_filter');
INSERT INTO "dataset_type" VALUES(13,'post_isr_image','instrument,visit,detector');
INSERT INTO "dataset_type" VALUES(14,'visit_image','instrument,visit,detector');
INSERT INTO "dataset_type" VALUES(15,'visit_image_background','instrument,visit,detector');
INSERT INTO "dataset_type" VALUES(16,'source','instrument,visit,detector');
INSERT INTO "dataset_type" VALUES(17,'visit_detector_summary','instrument,visit,detector');
INSERT INTO "dataset_type" VALUES(18,'isolated_star','instrument,skymap,tract');
INSERT INTO "dataset_type" VALUES(19,'joint_astrometry','instrument,skymap,tract');
INSERT INTO "dataset_type" VALUES(20,'joint_photometry','instrument,skymap,tract');
INSERT INTO "dataset_type" VALUES(21,'visit_summary','instrument,visit');
INSERT INTO "dataset_type" VALUES(22,'direct_warp','instrument,skymap,tract,patch,visit');
INSERT INTO "dataset_type" VALUES(23,'deep_coadd','skymap,tract,patch,band');
INSERT INTO "dataset_type" VALUES(24,'deep_coadd_n_image','skymap,tract,patch,band');
INSERT INTO "dataset_type" VALUES(25,'deep_coadd_summary','skymap,tract,patch,band');
INSERT INTO "dataset_type" VALUES(26,'object','skymap,tract,patch');
INSERT INTO "dataset_type" VALUES(27,'forced_source','instrument,visit,detector,skymap,tract');
INSERT INTO "dataset_type" VALUES(28,'source_table','instrument,skymap,tract');
INSERT INTO "dataset_type" VALUES(29,'object_table','instrument,skymap,tract');
INSERT INTO "dataset_type" VALUES(30,'forced_source_table','instrument,skymap,tract');
INSERT INTO "dataset_type" VALUES(31,'visit_table','instrument,skymap,tract');
INSERT INTO "dataset_type" VALUES(32,'metrics','');
INSERT INTO "dataset_type" VALUES(33,'lightcurve','');
CREATE TABLE document (
	digest VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (digest)
);
CREATE TABLE exposure (
	instrument VARCHAR NOT NULL, 
	exposure BIGINT NOT NULL, 
	detector BIGINT NOT NULL, 
	physical_filter VARCHAR NOT NULL, 
	band VARCHAR NOT NULL, 
	observation_type VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	exposure_time_s DOUBLE NOT NULL, 
	dark_time_s DOUBLE NOT NULL, 
	mid_mjd DOUBLE NOT NULL, 
	ra_deg DOUBLE, 
	dec_deg DOUBLE, 
	airmass DOUBLE, 
	region TEXT, 
	raw_id BLOB NOT NULL, 
	PRIMARY KEY (instrument, exposure, detector), 
	FOREIGN KEY(raw_id) REFERENCES dataset (id)
);
INSERT INTO "exposure" VALUES('st10',1,0,'Filter 2','clear','science','TrES-1',60.0,60.5,56000.01,286.0,36.6,1.1,'[[9.0, 4.0], [11.0, 4.0], [11.0, 6.0], [9.0, 6.0]]',X'C3CD999A535A5307A8E578CDD80FAA7A');
INSERT INTO "exposure" VALUES('st10',2,0,'Filter 2','clear','science','TrES-1',60.0,60.5,56000.02,286.0,36.6,1.2,NULL,X'C3CD999AF0D45E91BA118D81C954533B');
CREATE TABLE quantum (
	id BLOB NOT NULL, 
	run_id INTEGER NOT NULL, 
	stage VARCHAR NOT NULL, 
	task VARCHAR NOT NULL, 
	chunk VARCHAR NOT NULL, 
	data_id VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	message TEXT NOT NULL, 
	wall_s DOUBLE NOT NULL, 
	cpu_s DOUBLE NOT NULL, 
	max_rss_mb DOUBLE NOT NULL, 
	bytes_read BIGINT NOT NULL, 
	bytes_written BIGINT NOT NULL, 
	host VARCHAR NOT NULL, 
	started_mjd DOUBLE NOT NULL, 
	attempt INTEGER NOT NULL, 
	config_digest VARCHAR NOT NULL, 
	code_version VARCHAR NOT NULL, 
	environment VARCHAR NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES collection (id)
);
INSERT INTO "quantum" VALUES(X'DF6AD1901C2E57C2BAD516A5D7BB1A76',2,'visit','isr','v1','{"instrument": "st10", "detector": 0, "visit": 1}','done','',0.0,0.0,0.0,0,0,'',0.0,1,'','','');
CREATE TABLE quantum_input (
	quantum_id BLOB NOT NULL, 
	dataset_id BLOB NOT NULL, 
	PRIMARY KEY (quantum_id, dataset_id), 
	FOREIGN KEY(quantum_id) REFERENCES quantum (id)
)
 WITHOUT ROWID

;
INSERT INTO "quantum_input" VALUES(X'DF6AD1901C2E57C2BAD516A5D7BB1A76',X'C3CD999A535A5307A8E578CDD80FAA7A');
CREATE TABLE quantum_output (
	quantum_id BLOB NOT NULL, 
	dataset_id BLOB NOT NULL, 
	PRIMARY KEY (quantum_id, dataset_id), 
	FOREIGN KEY(quantum_id) REFERENCES quantum (id)
)
 WITHOUT ROWID

;
INSERT INTO "quantum_output" VALUES(X'DF6AD1901C2E57C2BAD516A5D7BB1A76',X'DF6AD190280C5CF98ABDA30AFE35964A');
CREATE TABLE schema_version (
	version INTEGER NOT NULL
);
INSERT INTO "schema_version" VALUES(1);
CREATE INDEX dataset_by_run ON dataset (run_id, type_id);
CREATE INDEX dataset_by_quantum ON dataset (quantum_id);
CREATE INDEX quantum_input_by_dataset ON quantum_input (dataset_id);
CREATE INDEX quantum_output_by_dataset ON quantum_output (dataset_id);
CREATE INDEX collection_member_by_dataset ON collection_member (dataset_id);
CREATE INDEX calibration_by_dataset ON calibration (dataset_id);
CREATE INDEX exposure_by_raw ON exposure (raw_id);
CREATE INDEX exposure_by_time ON exposure (mid_mjd);
CREATE UNIQUE INDEX dataset_of_type_1 ON dataset (instrument, exposure, detector, run_id) WHERE type_id = 1;
CREATE UNIQUE INDEX dataset_of_type_2 ON dataset (run_id) WHERE type_id = 2;
CREATE UNIQUE INDEX dataset_of_type_3 ON dataset (skymap, run_id) WHERE type_id = 3;
CREATE UNIQUE INDEX dataset_of_type_4 ON dataset (instrument, detector, run_id) WHERE type_id = 4;
CREATE UNIQUE INDEX dataset_of_type_5 ON dataset (instrument, detector, run_id) WHERE type_id = 5;
CREATE UNIQUE INDEX dataset_of_type_6 ON dataset (instrument, detector, run_id) WHERE type_id = 6;
CREATE UNIQUE INDEX dataset_of_type_7 ON dataset (instrument, detector, physical_filter, run_id) WHERE type_id = 7;
CREATE UNIQUE INDEX dataset_of_type_8 ON dataset (instrument, detector, run_id) WHERE type_id = 8;
CREATE UNIQUE INDEX dataset_of_type_9 ON dataset (instrument, detector, run_id) WHERE type_id = 9;
CREATE UNIQUE INDEX dataset_of_type_10 ON dataset (instrument, detector, run_id) WHERE type_id = 10;
CREATE UNIQUE INDEX dataset_of_type_11 ON dataset (instrument, detector, run_id) WHERE type_id = 11;
CREATE UNIQUE INDEX dataset_of_type_12 ON dataset (instrument, detector, physical_filter, run_id) WHERE type_id = 12;
CREATE UNIQUE INDEX dataset_of_type_13 ON dataset (instrument, visit, detector, run_id) WHERE type_id = 13;
CREATE UNIQUE INDEX dataset_of_type_14 ON dataset (instrument, visit, detector, run_id) WHERE type_id = 14;
CREATE UNIQUE INDEX dataset_of_type_15 ON dataset (instrument, visit, detector, run_id) WHERE type_id = 15;
CREATE UNIQUE INDEX dataset_of_type_16 ON dataset (instrument, visit, detector, run_id) WHERE type_id = 16;
CREATE UNIQUE INDEX dataset_of_type_17 ON dataset (instrument, visit, detector, run_id) WHERE type_id = 17;
CREATE UNIQUE INDEX dataset_of_type_18 ON dataset (instrument, skymap, tract, run_id) WHERE type_id = 18;
CREATE UNIQUE INDEX dataset_of_type_19 ON dataset (instrument, skymap, tract, run_id) WHERE type_id = 19;
CREATE UNIQUE INDEX dataset_of_type_20 ON dataset (instrument, skymap, tract, run_id) WHERE type_id = 20;
CREATE UNIQUE INDEX dataset_of_type_21 ON dataset (instrument, visit, run_id) WHERE type_id = 21;
CREATE UNIQUE INDEX dataset_of_type_22 ON dataset (instrument, skymap, tract, patch, visit, run_id) WHERE type_id = 22;
CREATE UNIQUE INDEX dataset_of_type_23 ON dataset (skymap, tract, patch, band, run_id) WHERE type_id = 23;
CREATE UNIQUE INDEX dataset_of_type_24 ON dataset (skymap, tract, patch, band, run_id) WHERE type_id = 24;
CREATE UNIQUE INDEX dataset_of_type_25 ON dataset (skymap, tract, patch, band, run_id) WHERE type_id = 25;
CREATE UNIQUE INDEX dataset_of_type_26 ON dataset (skymap, tract, patch, run_id) WHERE type_id = 26;
CREATE UNIQUE INDEX dataset_of_type_27 ON dataset (instrument, visit, detector, skymap, tract, run_id) WHERE type_id = 27;
CREATE UNIQUE INDEX dataset_of_type_28 ON dataset (instrument, skymap, tract, run_id) WHERE type_id = 28;
CREATE UNIQUE INDEX dataset_of_type_29 ON dataset (instrument, skymap, tract, run_id) WHERE type_id = 29;
CREATE UNIQUE INDEX dataset_of_type_30 ON dataset (instrument, skymap, tract, run_id) WHERE type_id = 30;
CREATE UNIQUE INDEX dataset_of_type_31 ON dataset (instrument, skymap, tract, run_id) WHERE type_id = 31;
CREATE UNIQUE INDEX dataset_of_type_32 ON dataset (run_id) WHERE type_id = 32;
CREATE UNIQUE INDEX dataset_of_type_33 ON dataset (run_id) WHERE type_id = 33;
COMMIT;
